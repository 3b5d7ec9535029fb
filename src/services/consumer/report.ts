import type { DaemonReport, HeldCertificate } from '../service.ts';
import { stateOf, type CertificateState, type Track } from './track.ts';

/** One certificate at one consumer, as /status shows it. Times are ISO 8601 in UTC. */
export interface CertificateReport {
  readonly name: string;
  readonly published: GenerationReport | null;
  /** What every endpoint was last seen serving. */
  readonly served: GenerationReport | null;
  readonly state: CertificateState;
  readonly since: string;
  readonly reason: string | null;
  /** Whether nobody listened at any endpoint when they were last looked at. */
  readonly silent: boolean;
  /** How long the last reload for it took, ms. */
  readonly lastReloadMs: number | null;
  /** From the switch of the publication to the first handshake that showed it, ms. */
  readonly servedAfterMs: number | null;
}

interface GenerationReport {
  readonly generation: number | null;
  readonly leafSha256: string | null;
  readonly notAfter: string | null;
}

/** Looks at one track; notes when its state changes. */
export function reportCertificate(track: Track, held: HeldCertificate | undefined, now: number): CertificateReport {
  const { state, reason } = stateOf(track, held, now);
  if (state !== track.state) {
    track.state = state;
    track.since = now;
  }
  const { published, seen } = track;
  return {
    name: track.wanted.name,
    published: published === undefined ? null : generationReport(published.generation, published.leafSha256, published.notAfter),
    served: seen === undefined ? null : generationReport(seen.generation, seen.leafSha256, seen.notAfter),
    state,
    since: new Date(track.since).toISOString(),
    reason: reason ?? null,
    silent: track.silent,
    lastReloadMs: rounded(track.lastReloadMs),
    servedAfterMs: rounded(track.servedAfterMs),
  };
}

/** What a person must look at: one line each, beginning with what it is about. */
export function alarmsOf(
  certificates: readonly CertificateReport[],
  daemons: readonly DaemonReport[],
  troubles: Iterable<string>,
): string[] {
  return [
    ...troubles,
    ...certificates
      .filter(({ state, served }) => state === 'rejected' || state === 'expired' || (state === 'missing' && served !== null))
      .map(({ name, state, reason }) => `certificate ${name} is ${state}: ${reason}`),
    ...daemons
      .filter(({ state, lastEnd }) => state !== 'running' && lastEnd !== undefined)
      .map(({ name, state, lastEnd }) => `daemon ${name} is ${state}: ${lastEnd}`),
  ];
}

/** What is held and was looked for and not seen, where daemons are others'. */
export function unseenAlarm({ wanted, seen, notSeenBecause }: Track): string[] {
  return seen === undefined && notSeenBecause !== undefined ? [`certificate ${wanted.name} is not served: ${notSeenBecause}`] : [];
}

/** Why the service is not ready; empty when it is. */
export function notReadyBecause(
  certificates: readonly CertificateReport[],
  daemons: readonly DaemonReport[],
  troubles: Iterable<string>,
): string[] {
  return [
    ...troubles,
    ...daemons.filter(({ state }) => state !== 'running').map(({ name, state }) => `daemon ${name} is ${state}`),
    ...certificates
      .filter(({ state }) => state !== 'served')
      .map(({ name, state, reason }) => `certificate ${name} is ${state}${reason === null ? '' : `: ${reason}`}`),
  ];
}

function generationReport(generation: number | undefined, leafSha256: string | undefined, notAfter: number | undefined): GenerationReport {
  return {
    generation: generation ?? null,
    leafSha256: leafSha256 ?? null,
    notAfter: notAfter === undefined ? null : new Date(notAfter).toISOString(),
  };
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms * 10) / 10;
}
