import { SECOND } from '../../platform/clock.ts';
import type { HeldCertificate, WantedCertificate } from '../service.ts';
import { validAt } from './check.ts';

/** What is published under a name; without digest and date when it cannot be read. */
export interface Published {
  readonly generation: number | undefined;
  readonly leafSha256: string | undefined;
  readonly notAfter: number | undefined;
}

/** A generation that was not taken, so that it is not tried again and again. Times are ms since the epoch. */
export interface Refusal {
  readonly why: string;
  readonly times: number;
  readonly retryAt: number;
}

/** Everything a consumer knows of one certificate besides the copy that it holds. */
export interface Track {
  wanted: WantedCertificate;
  published: Published | undefined;
  /** Identity of the published generation that was last judged. */
  judged: string | undefined;
  /** When the judged generation became current, ms since the epoch; undefined when that was before our start. */
  switchedAt: number | undefined;
  /** The copy that every endpoint was last seen serving; undefined when that is not known. */
  seen: HeldCertificate | undefined;
  /** Why what is held was not seen. */
  notSeenBecause: string | undefined;
  /** Whether nobody listened at any of its endpoints when they were last looked at. */
  silent: boolean;
  /** What is wrong with what is held and yet better than nothing. */
  warnings: readonly string[];
  /** By identity of the generation. */
  readonly refusals: Map<string, Refusal>;
  state: CertificateState;
  since: number;
  lastReloadMs: number | undefined;
  servedAfterMs: number | undefined;
}

export type CertificateState = 'served' | 'pending' | 'rejected' | 'missing' | 'expired';

export function newTrack(wanted: WantedCertificate, now: number): Track {
  return {
    wanted,
    published: undefined,
    judged: undefined,
    switchedAt: undefined,
    seen: undefined,
    notSeenBecause: undefined,
    silent: false,
    warnings: [],
    refusals: new Map(),
    state: 'missing',
    since: now,
    lastReloadMs: undefined,
    servedAfterMs: undefined,
  };
}

const PAUSES = [60, 300, 900, 3600].map((seconds) => seconds * SECOND);
/** Where nothing was found to be wrong, and it only was not seen in time. */
const PAUSES_WHEN_LATE = [5, 15, 60, 300, 900, 3600].map((seconds) => seconds * SECOND);

/**
 * Remembers that a generation was not taken.
 * @param retryAt when the reason is known to pass; default: ever longer pauses, that begin short for what was only `late`
 */
export function refuse(track: Track, identity: string, why: string, now: number, retryAt?: number | 'late'): void {
  const times = (track.refusals.get(identity)?.times ?? 0) + 1;
  const pauses = retryAt === 'late' ? PAUSES_WHEN_LATE : PAUSES;
  const pause = pauses[Math.min(times, pauses.length) - 1] ?? 0;
  track.refusals.set(identity, { why, times, retryAt: typeof retryAt === 'number' ? retryAt : now + pause });
}

/** When the published generation is tried again that was refused, ms since the epoch; undefined when it was not. */
export function retryAtOf(track: Track): number | undefined {
  return track.judged === undefined ? undefined : track.refusals.get(track.judged)?.retryAt;
}

/** The state of a certificate and, unless it is simply served, the reason. */
export function stateOf(
  track: Track,
  held: HeldCertificate | undefined,
  now: number,
): { state: CertificateState; reason: string | undefined } {
  const kept = held === undefined ? 'nothing is served for it' : `generation ${held.generation} is still served`;
  const refusal = track.judged === undefined ? undefined : track.refusals.get(track.judged);
  if (refusal !== undefined)
    return { state: 'rejected', reason: `generation ${track.published?.generation ?? '?'}: ${refusal.why}; ${kept}` };
  if (track.published === undefined) return { state: 'missing', reason: `it is not published; ${kept}` };
  if (held === undefined) return { state: 'pending', reason: 'it was not taken yet' };
  if (track.seen?.leafSha256 !== held.leafSha256) return { state: 'pending', reason: track.notSeenBecause ?? 'it was not seen served yet' };
  if (held.notAfter <= now) return { state: 'expired', reason: `what is served expired at ${new Date(held.notAfter).toISOString()}` };
  if (!validAt(held, now))
    return { state: 'pending', reason: `what is served is not valid before ${new Date(held.notBefore).toISOString()}` };
  if (held.leafSha256 !== track.published.leafSha256)
    return { state: 'pending', reason: `generation ${held.generation} is served, the published one is not yet` };
  return { state: 'served', reason: track.warnings.length === 0 ? undefined : track.warnings.join('; ') };
}
