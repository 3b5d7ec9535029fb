import type { ChallengeConfig } from '../config/config.ts';
import { SECOND } from '../platform/clock.ts';
import { scrubbedEnvironment } from '../platform/environment.ts';
import { PodserveError, describeError, messageOf, systemCode } from '../platform/errors.ts';
import { callProgram } from '../platform/program.ts';
import { lastWords } from '../platform/program-words.ts';
import { waitForText } from './dns/propagation.ts';
import { challengeValue } from './dns/update.ts';
import { challengeName, followChallenge } from './dns/zone.ts';
import { openParting } from './parting.ts';
import type { ChallengeSolver, ChallengeTask, SolverSurroundings } from './solver.ts';

export interface ExecOptions {
  /** How long one call may take, ms. */
  readonly timeoutMs?: number;
  /** What the program is given, without what is secret in it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

type ExecConfig = Extract<ChallengeConfig, { readonly via: 'exec' }>;

/** A provider's interface may be slow, and a script may wait for it. */
const TIMEOUT = 120 * SECOND;

/**
 * Lets a program put answers into the DNS: `PROGRAM present NAME VALUE` and `PROGRAM cleanup NAME VALUE`. NAME is
 * `_acme-challenge.example.org`, with nothing followed: only the program knows what its provider can change. Calls are
 * made one after the other: scripts keep files and providers keep limits that many at once would break.
 */
export async function execSolver(
  config: ExecConfig,
  surroundings: SolverSurroundings,
  { timeoutMs = TIMEOUT, env = process.env }: ExecOptions = {},
): Promise<ChallengeSolver> {
  const { exec } = config;
  const { clock, log, resolvers } = surroundings;
  const parting = openParting();
  let turn = Promise.resolve();

  function run(action: 'present' | 'cleanup', task: ChallengeTask, stop: AbortSignal, begin?: () => void): Promise<void> {
    const called = turn.then(() => {
      stop.throwIfAborted();
      begin?.();
      return call(action, task, stop);
    });
    turn = called.catch(() => undefined);
    return called;
  }

  async function call(action: 'present' | 'cleanup', task: ChallengeTask, stop: AbortSignal): Promise<void> {
    const name = challengeName(task.identifier);
    const args = [action, name, challengeValue(task)];
    const { ending, output } = await callProgram({
      exec,
      args,
      env: scrubbedEnvironment(env),
      input: '',
      clock,
      timeoutMs,
      stop,
      keep: 'end',
    }).catch((error: unknown) => {
      throw failed(`${action} ${name}: it cannot be started (${systemCode(error) ?? messageOf(error)})`, STARTABLE, error);
    });
    if (ending === undefined) return log.debug({ exec, action, name, output: lastWords(output) }, 'the challenge program was called');
    stop.throwIfAborted();
    const words = output === '' ? 'and wrote nothing' : `and wrote last: ${lastWords(output)}`;
    throw failed(`${action} ${name}: ${ending} ${words}`, 'run it by hand with the same arguments to see why');
  }

  function failed(why: string, remedy: string, cause?: unknown): PodserveError {
    return new PodserveError('CHALLENGE_FAILED', 'the challenge program failed', { where: exec, why, remedy, cause });
  }

  async function cleanup(task: ChallengeTask, order?: AbortSignal): Promise<void> {
    await parting(order, undefined, (stop) => run('cleanup', task, stop));
  }

  return {
    type: 'dns-01',
    async present(task, signal) {
      // Refused before anything is called.
      challengeName(task.identifier);
      let begun = false;
      try {
        await run('present', task, signal, () => (begun = true));
        const chain = await followChallenge(challengeName(task.identifier), { resolvers, signal });
        const awaited = { name: chain.at(-1) ?? '.', value: challengeValue(task), propagation: config.propagation };
        await waitForText(awaited, surroundings, signal);
      } catch (error) {
        if (!begun) throw error;
        // Also when the program itself failed: it may have come half-way.
        await cleanup(task, signal).catch((left: unknown) => {
          log.warn({ exec, error: describeError(left) }, 'the record of a challenge may be left behind');
        });
        throw error;
      }
    },
    cleanup,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

const STARTABLE = 'see that it exists, begins with #! and an interpreter that is installed, and may be executed by this user';
