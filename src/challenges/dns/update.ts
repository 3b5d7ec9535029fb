import { createHash, randomBytes } from 'node:crypto';

import type { DnsUpdateConfig } from '../../config/config.ts';
import { SECOND } from '../../platform/clock.ts';
import { PodserveError, describeError } from '../../platform/errors.ts';
import { openParting } from '../parting.ts';
import type { ChallengeSolver, ChallengeTask, SolverSurroundings } from '../solver.ts';
import { waitForText } from './propagation.ts';
import { addText, deleteText, placeAt, type Place, type UpdateServer } from './signed.ts';
import { readTsigKey } from './tsig-key.ts';
import { challengeName, followChallenge } from './zone.ts';

/** Taking an answer away is not aborted with the order, but does not take for ever either. */
const CLEANUP_TIMEOUT = 30 * SECOND;

/**
 * Puts answers into the DNS by signed updates (RFC 2136, RFC 8945), where the CNAMEs of `_acme-challenge` lead to. The
 * key is read anew for each: it may be replaced at any time.
 */
export async function dnsUpdateSolver(config: DnsUpdateConfig, surroundings: SolverSurroundings): Promise<ChallengeSolver> {
  const { clock, log, resolvers } = surroundings;
  const places = new Map<string, Place>();
  const parting = openParting();
  let warned = false;

  function server(signal: AbortSignal): UpdateServer {
    const { key, exposed } = readTsigKey(config.tsigKeyFile);
    if (exposed && !warned) log.warn({ file: config.tsigKeyFile }, 'every user of this host can read the TSIG key: chmod 600 it');
    warned ||= exposed;
    return { server: config.server, key, clock, signal };
  }

  async function find(task: ChallengeTask, at: UpdateServer, signal: AbortSignal): Promise<Place> {
    const chain = await followChallenge(challengeName(task.identifier), { resolvers, signal });
    return await placeAt(at, chain.at(-1) ?? '.');
  }

  async function remove(task: ChallengeTask, order: AbortSignal | undefined): Promise<void> {
    await parting(order, CLEANUP_TIMEOUT, async (signal) => {
      const at = server(signal);
      const place = places.get(task.token) ?? (await find(task, at, signal));
      await deleteText(at, place, challengeValue(task));
    });
    places.delete(task.token);
  }

  return {
    type: 'dns-01',
    async present(task, signal) {
      const at = server(signal);
      const place = await find(task, at, signal);
      places.set(task.token, place);
      const value = challengeValue(task);
      try {
        await addText(at, place, value);
        await waitForText({ name: place.name, value, propagation: config.propagation }, surroundings, signal);
      } catch (error) {
        // Also when the update itself failed: its answer may have been lost, and not the update.
        await remove(task, signal).catch((left: unknown) => {
          log.warn({ name: place.name, server: config.server, error: describeError(left) }, 'the record of a challenge may be left behind');
        });
        throw error;
      }
    },
    async cleanup(task, order) {
      try {
        await remove(task, order);
      } catch (error) {
        if (error instanceof PodserveError) throw error;
        throw new PodserveError('CHALLENGE_FAILED', 'the record of a challenge may be left behind', {
          where: config.server,
          why: describeError(error),
          remedy: 'remove TXT records of _acme-challenge that nobody needs by hand',
          cause: error,
        });
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** What the TXT record holds (RFC 8555 §8.4). */
export function challengeValue({ keyAuthorization }: ChallengeTask): string {
  return createHash('sha256').update(keyAuthorization).digest('base64url');
}

/** Whether an update would be taken. */
export type TsigFinding =
  | ({ readonly works: true; readonly exposed: boolean } & Place)
  /** The error says what to change. */
  | { readonly works: false; readonly error: PodserveError };

/**
 * Proves that the server takes updates of this name with the key, by deleting a value that is not there: the signature
 * and the server's rules are judged as for any update, and nothing changes.
 * @param name where the CNAMEs of `_acme-challenge` lead to: the last of `followChallenge`
 * @throws the signal's reason
 */
export async function checkTsig(
  config: DnsUpdateConfig,
  name: string,
  { clock, signal }: Pick<SolverSurroundings, 'clock'> & { readonly signal: AbortSignal },
): Promise<TsigFinding> {
  try {
    const { key, exposed } = readTsigKey(config.tsigKeyFile);
    const at: UpdateServer = { server: config.server, key, clock, signal };
    const place = await placeAt(at, name);
    await deleteText(at, place, `podserve-check-${randomBytes(12).toString('base64url')}`);
    return { works: true, exposed, ...place };
  } catch (error) {
    if (error instanceof PodserveError) return { works: false, error };
    throw error;
  }
}
