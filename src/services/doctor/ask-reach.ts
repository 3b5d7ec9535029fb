import { createHash, randomBytes } from 'node:crypto';
import { existsSync, rmdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';

import { openSolver } from '../../challenges/open.ts';
import type { SolverOpener } from '../../challenges/shared.ts';
import type { ChallengeSolver, ChallengeTask, SolverSurroundings } from '../../challenges/solver.ts';
import { CHALLENGE_PATH } from '../../challenges/token.ts';
import { addressOctets, type Identifier } from '../../certificate/identifier.ts';
import type { ChallengeConfig } from '../../config/config.ts';
import { SECOND } from '../../platform/clock.ts';
import { PodserveError, describeError } from '../../platform/errors.ts';
import type { Names } from './ask-names.ts';
import { fetchToken } from './fetch-token.ts';
import { problem, troubled, type Judgement } from './finding.ts';
import { judgeFetched, judgeShaken, type Way } from './judge-reach.ts';
import { shakeAlpn } from './shake-alpn.ts';

export interface ReachOptions {
  readonly challenge: ChallengeConfig;
  readonly surroundings: SolverSurroundings;
  /** Default: a solver of its own. */
  readonly solverFor: SolverOpener | undefined;
  readonly names: Names;
  /** What CAs call 80 and 443. */
  readonly ports: { readonly http: number; readonly https: number };
  readonly signal: AbortSignal;
}

export interface Reach extends AsyncDisposable {
  /** Puts an answer in place as for an order, looks for it at each address, and takes it away again. */
  test(identifier: Identifier, addresses: readonly string[]): Promise<Judgement[]>;
}

const TIMEOUT = 5 * SECOND;

/** Looks as a CA would, by the solver that orders use. */
export async function openReach(options: ReachOptions): Promise<Reach> {
  const { challenge, surroundings } = options;
  // With orders beside it the directories are theirs too.
  const made = options.solverFor === undefined ? missing(tokensIn(challenge, surroundings)) : [];
  const solver = await (options.solverFor ?? ((config) => openSolver(config, surroundings)))(challenge);
  const own = new Set(Object.values(networkInterfaces()).flatMap((one) => one?.map(({ address }) => address) ?? []));
  return {
    async test(identifier, addresses) {
      const token = randomBytes(32).toString('base64url');
      const task = { identifier, token, keyAuthorization: `${token}.${randomBytes(32).toString('base64url')}` };
      return presented(solver, task, options, () =>
        Promise.all(addresses.map((address) => look(task, address, own.has(address) || address.startsWith('127.'), options))),
      );
    },
    async [Symbol.asyncDispose]() {
      await solver[Symbol.asyncDispose]();
      for (const directory of made) removeEmpty(directory);
    },
  };
}

async function presented(
  solver: ChallengeSolver,
  task: ChallengeTask,
  { signal }: ReachOptions,
  work: () => Promise<Judgement[]>,
): Promise<Judgement[]> {
  try {
    await solver.present(task, signal);
  } catch (error) {
    if (error instanceof PodserveError) return [troubled(error)];
    throw error;
  }
  const [found] = await Promise.allSettled([work()]);
  const left = await solver.cleanup(task).catch((error: unknown) => error);
  if (found.status === 'rejected') throw found.reason;
  return left === undefined ? found.value : [...found.value, problem(describeError(left), 'remove what was left behind by hand')];
}

async function look(task: ChallengeTask, address: string, own: boolean, options: ReachOptions): Promise<Judgement> {
  const { challenge, ports, names, signal } = options;
  const name = task.identifier.value;
  const connection = { address, timeoutMs: TIMEOUT, signal };
  if (challenge.type === 'tls-alpn-01') {
    const way: Way = { name, address, port: ports.https, own };
    const digest = createHash('sha256').update(task.keyAuthorization).digest('hex');
    return judgeShaken(
      await shakeAlpn({ ...connection, port: ports.https, serverName: serverName(task.identifier) }),
      digest,
      way,
      challenge,
    );
  }
  const way: Way = { name, address, port: ports.http, own };
  const path = `${CHALLENGE_PATH}${task.token}`;
  const resolve = async (host: string): Promise<string[]> => {
    const { a, aaaa } = await names.resolution(host);
    return [aaaa, a].flatMap((lookup) => (lookup.state === 'found' ? lookup.addresses : []));
  };
  return judgeFetched(await fetchToken({ ...connection, name, path, ports, resolve }), task.keyAuthorization, way, challenge);
}

/** RFC 8738 §6: an address is asked for by its name for reverse lookups. */
export function serverName({ type, value }: Identifier): string {
  if (type === 'dns') return value;
  const octets = [...addressOctets(value)];
  if (octets.length === 4) return `${octets.toReversed().join('.')}.in-addr.arpa`;
  const nibbles = octets.flatMap((octet) => [octet >> 4, octet & 15]);
  return `${nibbles
    .toReversed()
    .map((nibble) => nibble.toString(16))
    .join('.')}.ip6.arpa`;
}

/** Where the solver puts files; undefined where it puts none. */
function tokensIn(challenge: ChallengeConfig, { challengesDirectory }: SolverSurroundings): string | undefined {
  if (challenge.via !== 'webroot') return undefined;
  return challenge.webroot === undefined ? challengesDirectory : join(challenge.webroot, CHALLENGE_PATH);
}

/** What is not there of a directory and those above it, the innermost first. */
function missing(directory: string | undefined): string[] {
  if (directory === undefined || existsSync(directory)) return [];
  return [directory, ...missing(dirname(directory))];
}

function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // It was never made, or somebody uses it by now.
  }
}
