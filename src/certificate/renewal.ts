import { DAY, HOUR } from '../platform/clock.ts';
import { covers, displayIdentifier, type Identifier } from './identifier.ts';
import type { Origin } from './generation.ts';
import { isLocalIssuer, type CertificateSpec, type KeyType } from './spec.ts';

/** What is published now, as far as the decision needs it. Times are ms since the epoch. */
export type Current =
  | { readonly state: 'absent' }
  | { readonly state: 'damaged'; readonly why: string }
  | ({ readonly state: 'published' } & Published);

export interface Published {
  readonly generation: number;
  readonly issuer: string;
  readonly origin: Origin;
  readonly placeholder: boolean;
  readonly keyType: KeyType | 'other';
  readonly identifiers: readonly Identifier[];
  readonly notBefore: number;
  readonly notAfter: number;
}

/** A generation that was published before and could be again. */
export interface Kept {
  readonly generation: number;
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Situation {
  readonly spec: CertificateSpec;
  readonly current: Current;
  /** Kept and undamaged generations besides the current one, newest first. */
  readonly kept: readonly Kept[];
  /** When an earlier failure allows the next try, or undefined. */
  readonly retryAt: number | undefined;
  /** The clock is behind the ledger, so that nothing may be decided by it. */
  readonly clockBehind: boolean;
  /** The operator wants a new certificate whatever the time and the back-off say. */
  readonly force: boolean;
  readonly now: number;
}

type Reason =
  | 'not-due'
  | 'missing'
  | 'corrupt'
  | 'unreadable'
  | 'expired'
  | 'emergency'
  | 'renewal-time'
  | 'name-not-covered'
  | 'key-type-changed'
  | 'issuer-changed'
  | 'placeholder'
  | 'from-the-future'
  | 'forced'
  | 'backing-off'
  | 'clock-behind'
  | 'no-downgrade';

/** What to do with one certificate, why, and when to look again (ms since the epoch). */
export interface Decision {
  readonly action: 'keep' | 'issue' | 'restore' | 'wait';
  readonly reason: Reason;
  /** The reason with its particulars, for people. */
  readonly detail: string;
  readonly nextLook: number;
  /** Past the emergency line, damaged or missing: somebody should know. */
  readonly emergency: boolean;
  /** With `issue`: the issuers that may replace what is there, in order. */
  readonly issuers: readonly string[];
  /** With `restore`: the generation to go back to. */
  readonly generation?: number;
}

const LONGEST_LEAD_OF_EMERGENCY = 7 * DAY;
const SHORT_LIFETIME = 10 * DAY;
/** Issuers backdate a little and machines differ a little: this much is no sign of a wrong clock. */
const FUTURE_TOLERANCE = HOUR;
const NEXT_LOOK_AT_CLOCK = HOUR;

/**
 * Decides about one certificate (DESIGN §6). Pure: the caller reads, acts and logs.
 * What is served is only ever replaced by something at least as good: see `allowedIssuers`.
 */
export function decide(situation: Situation): Decision {
  const { spec, current, now, force } = situation;
  const emergency = isEmergency(spec, current, now);
  if (situation.clockBehind && !force) {
    return {
      action: 'wait',
      reason: 'clock-behind',
      detail: 'the clock is behind the newest recorded event by more than a day',
      nextLook: now + NEXT_LOOK_AT_CLOCK,
      emergency,
      issuers: [],
    };
  }
  if (current.state === 'published' && current.notBefore > now + FUTURE_TOLERANCE) {
    const valid = situation.kept.find((kept) => kept.notBefore <= now && now < kept.notAfter);
    if (valid !== undefined) {
      return {
        action: 'restore',
        reason: 'from-the-future',
        detail: `generation ${current.generation} starts in the future (${isoDate(current.notBefore)}); generation ${valid.generation} is valid`,
        nextLook: now,
        emergency: true,
        issuers: [],
        generation: valid.generation,
      };
    }
  }
  const need = needOf(situation);
  if (need === undefined) {
    const plan = current.state === 'published' ? renewalTime(spec, current) : now;
    return { action: 'keep', reason: 'not-due', detail: `renewal is planned for ${isoDate(plan)}`, nextLook: plan, emergency, issuers: [] };
  }
  const issuers = allowedIssuers(spec, current, emergency);
  if (issuers.length === 0 && current.state === 'published') {
    const line = emergencyLine(spec, current);
    const detail = `${need.detail}; no configured issuer may replace a certificate of ${current.issuer} before ${isoDate(line)}`;
    return { action: 'keep', reason: 'no-downgrade', detail, nextLook: line, emergency, issuers };
  }
  const { retryAt } = situation;
  if (retryAt !== undefined && retryAt > now && !force) {
    const detail = `${need.detail}; the last try failed, the next is at ${isoDate(retryAt)}`;
    return { action: 'wait', reason: 'backing-off', detail, nextLook: retryAt, emergency, issuers };
  }
  return { action: 'issue', reason: need.reason, detail: need.detail, nextLook: now, emergency, issuers };
}

/** When a healthy certificate is renewed, ms since the epoch (DESIGN §6). */
export function renewalTime(spec: CertificateSpec, published: Published): number {
  const lifetime = published.notAfter - published.notBefore;
  if (published.placeholder) return published.notBefore + lifetime / 2;
  const byFraction = published.origin === 'issued' ? !isLocalIssuer(published.issuer) : !spec.issuers.every(isLocalIssuer);
  if (byFraction) return published.notBefore + lifetime * (lifetime < SHORT_LIFETIME ? 1 / 2 : 2 / 3);
  return published.notAfter - Math.min(spec.renewBefore, lifetime / 3);
}

/** From here on alarms, and any issuer may replace it: 7 days before expiry, or half the planned lead if that is less. */
export function emergencyLine(spec: CertificateSpec, published: Published): number {
  const lead = published.notAfter - renewalTime(spec, published);
  return published.notAfter - Math.min(LONGEST_LEAD_OF_EMERGENCY, lead / 2);
}

function isEmergency(spec: CertificateSpec, current: Current, now: number): boolean {
  return current.state !== 'published' || now >= emergencyLine(spec, current);
}

/** Why a new certificate is wanted, or undefined. The first that holds is the one reported. */
function needOf({ spec, current, now, force }: Situation): { reason: Reason; detail: string } | undefined {
  if (current.state === 'absent') return { reason: 'missing', detail: 'nothing is published yet' };
  if (current.state === 'damaged') return { reason: 'corrupt', detail: current.why };
  if (current.notBefore > now + FUTURE_TOLERANCE) {
    return { reason: 'from-the-future', detail: `it starts in the future (${isoDate(current.notBefore)}) and no kept one is valid` };
  }
  if (now >= current.notAfter) return { reason: 'expired', detail: `it expired at ${isoDate(current.notAfter)}` };
  if (now >= emergencyLine(spec, current)) return { reason: 'emergency', detail: `it expires at ${isoDate(current.notAfter)}` };
  const missing = spec.identifiers.filter((wanted) => !covers(current.identifiers, wanted));
  if (missing.length > 0) {
    return { reason: 'name-not-covered', detail: `it does not cover ${missing.map(displayIdentifier).join(', ')}` };
  }
  if (force) return { reason: 'forced', detail: 'the operator asked for it' };
  if (current.placeholder) {
    if (current.issuer !== spec.issuers[0])
      return { reason: 'placeholder', detail: `it is a placeholder until ${spec.issuers[0]} answers` };
  } else if (current.origin === 'issued') {
    if (current.keyType !== spec.keyType) {
      return { reason: 'key-type-changed', detail: `its key is ${current.keyType}, configured is ${spec.keyType}` };
    }
    if (isLocalIssuer(current.issuer) && !spec.issuers.includes(current.issuer)) {
      return { reason: 'issuer-changed', detail: `it is from ${current.issuer}, configured is ${spec.issuers.join(', ')}` };
    }
  }
  const plan = renewalTime(spec, current);
  return now >= plan ? { reason: 'renewal-time', detail: `its renewal was planned for ${isoDate(plan)}` } : undefined;
}

/**
 * The issuers that may replace what is published. What is missing, damaged, expired or past its emergency line:
 * all. Else none that stands later in the list than the one it came from, and none of the local ones where it
 * came from an ACME server that is no longer configured: a typing error in the configuration shall not turn a
 * public certificate into a private one.
 */
function allowedIssuers(spec: CertificateSpec, current: Current, emergency: boolean): readonly string[] {
  if (current.state !== 'published' || emergency || current.placeholder || current.origin !== 'issued') return spec.issuers;
  const rank = spec.issuers.indexOf(current.issuer);
  if (rank >= 0) return spec.issuers.slice(0, rank + 1);
  return isLocalIssuer(current.issuer) ? spec.issuers : spec.issuers.filter((issuer) => !isLocalIssuer(issuer));
}

function isoDate(time: number): string {
  return `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
