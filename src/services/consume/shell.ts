import { SECOND, type Clock } from '../../platform/clock.ts';
import { PodserveError, messageOf, systemCode } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import { callProgram } from '../../platform/program.ts';
import { lastWords } from '../../platform/program-words.ts';

/** One line of shell that the user gave, and the option that it was given with. */
export interface ShellCommand {
  /** Such as `--on-change`: what the log calls it, since the line itself may hold anything. */
  readonly option: string;
  readonly line: string;
}

export interface ShellOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Log;
  readonly timeoutMs: number;
  /** Ends it early. */
  readonly stop: AbortSignal;
}

/**
 * Runs a line through `sh -c`, in a process group of its own, and logs the end of what it wrote.
 * @throws PodserveError COMMAND_FAILED with its last words
 */
export async function runShell({ option, line }: ShellCommand, options: ShellOptions): Promise<void> {
  const { env, clock, log, timeoutMs, stop } = options;
  const began = clock.now();
  const { ending, output } = await callProgram({
    exec: '/bin/sh',
    args: ['-c', line],
    env,
    input: '',
    clock,
    timeoutMs,
    stop,
    keep: 'end',
  }).catch((cause: unknown) => {
    throw failed(option, `/bin/sh cannot be started (${systemCode(cause) ?? messageOf(cause)})`, cause);
  });
  const tookMs = clock.now() - began;
  if (ending !== undefined) {
    const words = output === '' ? 'wrote nothing' : `wrote last: ${lastWords(output)}`;
    throw failed(option, `${ending} after ${(tookMs / SECOND).toFixed(1)} s and ${words}`);
  }
  log.info({ option, tookMs, output: output === '' ? '' : lastWords(output) }, 'the command was run');
}

function failed(option: string, why: string, cause?: unknown): PodserveError {
  return new PodserveError('COMMAND_FAILED', `the command given with ${option} failed`, {
    why,
    remedy: 'run it by hand as the same user, through sh -c',
    cause,
  });
}
