import { DAY, HOUR } from '../platform/clock.ts';
import type { Advice } from './advice.ts';
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
  /** The ACME profile that was ordered; undefined: none was; left out: not known. */
  readonly profile?: string | undefined;
  readonly identifiers: readonly Identifier[];
  readonly notBefore: number;
  readonly notAfter: number;
  /** Left out: not known. */
  readonly publishedAt?: number;
}

/** A generation that was published before and could be again. */
export interface Kept {
  readonly generation: number;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** An issuer that is not to be asked for now, and why, for people. */
export interface Held {
  /** ms since the epoch */
  readonly until: number;
  readonly why: string;
}

export interface Situation {
  readonly spec: CertificateSpec;
  readonly current: Current;
  /** Kept and undamaged generations besides the current one, newest first. */
  readonly kept: readonly Kept[];
  /** When an earlier failure allows the next try, or undefined. */
  readonly retryAt: number | undefined;
  /** When that failure was; left out: a wait that the CA imposed binds all issuers, past the emergency line too. */
  readonly failedAt?: number | undefined;
  /** Who was asked last then, where that is known: nobody after it in the list was. */
  readonly askedLast?: string | undefined;
  /** What the CA last said about exactly the current leaf. */
  readonly advice?: Advice | undefined;
  /** Since when the current leaf is revoked. */
  readonly revoked?: { readonly at: number } | undefined;
  /** The profile that the issuer of the current one is configured with; undefined: none; left out: not known. */
  readonly profile?: string | undefined;
  /** By issuer name: a wait that the CA or the rate-limit budget imposes on all certificates alike. */
  readonly held?: ReadonlyMap<string, Held>;
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
  | 'revoked'
  | 'renewal-time'
  | 'advised'
  | 'name-not-covered'
  | 'key-type-changed'
  | 'profile-changed'
  | 'issuer-changed'
  | 'preferred-issuer'
  | 'placeholder'
  | 'from-the-future'
  | 'forced'
  | 'backing-off'
  | 'rate-limited'
  | 'clock-behind'
  | 'no-downgrade';

/** What to do with one certificate, why, and when to look again (ms since the epoch). */
export interface Decision {
  /** `placeholder`: publish one and ask nobody. */
  readonly action: 'keep' | 'issue' | 'restore' | 'wait' | 'placeholder';
  readonly reason: Reason;
  /** The reason with its particulars, for people. */
  readonly detail: string;
  readonly nextLook: number;
  /** Past the emergency line, damaged, missing or revoked: somebody should know. */
  readonly emergency: boolean;
  /** With `issue`: the issuers that may replace what is there, in order. */
  readonly issuers: readonly string[];
  /** With `restore`: the generation to go back to. */
  readonly generation?: number;
  /** Nothing valid is served, or a placeholder is past its half: a new one is to be published now, whatever the issuers do. */
  readonly placeholder?: boolean;
}

/** DESIGN §6: over a long weekend, and short enough not to be taken for the real one. */
export const PLACEHOLDER_LIFETIME = 7 * DAY;

const LONGEST_LEAD_OF_EMERGENCY = 7 * DAY;
const SHORT_LIFETIME = 10 * DAY;
/** Issuers backdate a little and machines differ a little: this much is no sign of a wrong clock. */
const FUTURE_TOLERANCE = HOUR;
const NEXT_LOOK_AT_CLOCK = HOUR;
/** After an issuer that stands later in the list has stepped in, those before it are asked again every day. */
const BACK_TO_PREFERRED = DAY;
/** What an ACME server gave is kept at least so long, or a third of what it had left if that is less. */
const SHORTEST_SERVICE = 6 * HOUR;
/** ECMAScript's Date ends here; what others ask us to wait for need not. */
const LAST_DATE = 8.64e15;

/**
 * Decides about one certificate (DESIGN §6). Pure: the caller reads, acts and logs.
 * What is served is only ever replaced by something at least as good: see `allowedIssuers`. And something is always
 * served: an issuer that is remote may fail for months, and every wait for it ends in time to renew a placeholder.
 */
export function decide(situation: Situation): Decision {
  const { spec, current, now, force } = situation;
  const emergency = isEmergency(situation);
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
    const valid = validKept(situation);
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
  if (current.state !== 'published') return meet(situation, needWithout(current), spec.issuers, emergency);
  const need = needOf(situation, current);
  if (need !== undefined) return meet(situation, need, allowedIssuers(spec, current, emergency), emergency);
  if (now < preferredAgain(spec, current)) return keep(situation, current, emergency);
  const { issuer } = current;
  const detail = `it is from ${issuer}, which stepped in for ${spec.issuers[0]}`;
  const better = spec.issuers.slice(0, spec.issuers.indexOf(issuer));
  const decision = meet(situation, { reason: 'preferred-issuer', detail }, better, emergency);
  return { ...decision, nextLook: Math.min(decision.nextLook, planOf(situation, current).at) };
}

/** When issuers that stand before the one it came from are asked again; Infinity where none does. */
function preferredAgain({ issuers }: CertificateSpec, { issuer, origin, notBefore }: Published): number {
  return origin === 'issued' && issuers.indexOf(issuer) > 0 ? notBefore + BACK_TO_PREFERRED : Infinity;
}

interface Need {
  readonly reason: Reason;
  readonly detail: string;
}

/** Something is wanted: who may be asked for it, and when. */
function meet(situation: Situation, need: Need, allowed: readonly string[], emergency: boolean): Decision {
  const { spec, current, now, force } = situation;
  if (allowed.length === 0 && current.state === 'published') {
    const line = emergencyLine(spec, current);
    const detail = `${need.detail}; no configured issuer may replace a certificate of ${current.issuer} before ${isoDate(line)}`;
    return { action: 'keep', reason: 'no-downgrade', detail, nextLook: line, emergency, issuers: allowed };
  }
  const { retryAt } = situation;
  const binding = retryAt !== undefined && retryAt > now && !force;
  const asked = binding ? newlyAllowed(situation, allowed) : allowed;
  if (binding && asked.length === 0) {
    const detail = `${need.detail}; the last try failed, the next is at ${isoDate(retryAt)}`;
    return delayed(situation, { reason: 'backing-off', detail, until: retryAt, emergency, issuers: allowed });
  }
  const issuers = force ? asked : asked.filter((issuer) => holdOn(situation, issuer) === undefined);
  if (issuers.length === 0) {
    const holds = asked.flatMap((issuer) => holdOn(situation, issuer) ?? []);
    const detail = `${need.detail}; ${holds.map(({ why }) => why).join('; ')}`;
    const until = Math.min(...holds.map((hold) => hold.until), binding ? retryAt : Infinity);
    return delayed(situation, { reason: 'rate-limited', detail, until, emergency, issuers: allowed });
  }
  const placeholder = wantsPlaceholder(situation) && !isLocalIssuer(issuers[0] ?? '');
  return { action: 'issue', reason: need.reason, detail: need.detail, nextLook: now, emergency, issuers, placeholder };
}

function keep(situation: Situation, current: Published, emergency: boolean): Decision {
  const { at, basis } = planOf(situation, current);
  const nextLook = Math.min(at, adviceOn(situation, current)?.nextAsk ?? at, preferredAgain(situation.spec, current));
  return { action: 'keep', reason: 'not-due', detail: `renewal is planned for ${isoDate(at)}${basis}`, nextLook, emergency, issuers: [] };
}

/**
 * What is done while no issuer may be asked: where nothing valid is served, go back to a kept generation or publish a
 * placeholder. The wait ends early when what is published comes to a point that changes the decision.
 */
function delayed(
  situation: Situation,
  wait: Need & { readonly until: number; readonly emergency: boolean; readonly issuers: readonly string[] },
): Decision {
  const { spec, current, now } = situation;
  const { until, ...decision } = wait;
  if (current.state === 'damaged') {
    const valid = validKept(situation);
    if (valid !== undefined) {
      return { ...decision, action: 'restore', reason: 'corrupt', nextLook: now, generation: valid.generation };
    }
  }
  if (wantsPlaceholder(situation) && !isLocalIssuer(wait.issuers[0] ?? '')) {
    return { ...decision, action: 'placeholder', nextLook: Math.min(until, now + PLACEHOLDER_LIFETIME / 2), placeholder: true };
  }
  return { ...decision, action: 'wait', nextLook: Math.min(until, lookBy(spec, current, now)) };
}

/**
 * When what is published has to be looked at again at the latest, whatever else is waited for: when it is to be renewed,
 * at the emergency line, at expiry. Infinity where nothing of that lies ahead.
 */
export function lookBy(spec: CertificateSpec, current: Current, now: number): number {
  if (current.state !== 'published') return Infinity;
  const turns = [renewalTime(spec, current), emergencyLine(spec, current), current.notAfter];
  return Math.min(...turns.filter((turn) => turn > now));
}

/** Whether a placeholder is better than what is served: nothing valid, or a placeholder that is past its half. */
function wantsPlaceholder(situation: Situation): boolean {
  const { spec, current, now } = situation;
  if (current.state === 'damaged') return validKept(situation) === undefined;
  if (current.state === 'absent' || now >= current.notAfter || current.notBefore > now + FUTURE_TOLERANCE) return true;
  return current.placeholder && now >= renewalTime(spec, current);
}

function validKept({ kept: generations, now }: Situation): Kept | undefined {
  return generations.find(({ notBefore, notAfter }) => notBefore <= now && now < notAfter);
}

function holdOn({ held, now }: Situation, issuer: string): Held | undefined {
  const hold = held?.get(issuer);
  return hold !== undefined && hold.until > now ? hold : undefined;
}

/**
 * Who may be asked although the last try failed: the issuers that were not asked then.
 * Only where the CA imposed the wait, which shows in its length: the own back-off never takes more than half of what is
 * left. A CA that wants a week of patience shall not keep the next one from stepping in.
 */
function newlyAllowed({ spec, current, revoked, failedAt, askedLast, retryAt }: Situation, allowed: readonly string[]): readonly string[] {
  if (failedAt === undefined || retryAt === undefined || current.state !== 'published') return [];
  const imposed = retryAt - failedAt > (current.notAfter - failedAt) / 2;
  if (!imposed) return [];
  const reached = askedLast === undefined ? -1 : spec.issuers.indexOf(askedLast);
  if (reached >= 0) return allowed.filter((issuer) => spec.issuers.indexOf(issuer) > reached);
  const since = Math.min(emergencyLine(spec, current), revoked?.at ?? Infinity);
  if (failedAt >= since) return [];
  const before = allowedIssuers(spec, current, false);
  return allowed.filter((issuer) => !before.includes(issuer));
}

/** When a healthy certificate is renewed, ms since the epoch (DESIGN §6). */
export function renewalTime(spec: CertificateSpec, published: Published): number {
  const lifetime = published.notAfter - published.notBefore;
  if (published.placeholder) return published.notBefore + lifetime / 2;
  const byFraction = published.origin === 'issued' ? !isLocalIssuer(published.issuer) : !spec.issuers.every(isLocalIssuer);
  if (byFraction) return Math.max(published.notBefore + lifetime * (lifetime < SHORT_LIFETIME ? 1 / 2 : 2 / 3), settledFrom(published));
  return published.notAfter - Math.min(spec.renewBefore, lifetime / 3);
}

/** From here on alarms, and any issuer may replace it: 7 days before expiry, or half the planned lead if that is less. */
export function emergencyLine(spec: CertificateSpec, published: Published): number {
  const lead = published.notAfter - renewalTime(spec, published);
  return published.notAfter - Math.min(LONGEST_LEAD_OF_EMERGENCY, lead / 2);
}

function isEmergency({ spec, current, revoked, now }: Situation): boolean {
  return current.state !== 'published' || revoked !== undefined || now >= emergencyLine(spec, current);
}

/**
 * When what is published is renewed: at the time chosen from the CA's advice, but at the emergency line at the latest;
 * without advice by the fractions.
 */
export function plannedRenewal(spec: CertificateSpec, current: Published, advice: Advice | undefined): number {
  if (advice?.chosen === undefined || !isFromAcme(current)) return renewalTime(spec, current);
  return Math.min(Math.max(advice.chosen, settledFrom(current)), emergencyLine(spec, current));
}

/**
 * Nothing is ordered anew for its age alone before that. A CA that backdates far, or whose advice is always past, would
 * otherwise be asked for one certificate after the other, every second.
 */
function settledFrom({ origin, publishedAt, notAfter }: Published): number {
  if (origin !== 'issued' || publishedAt === undefined || publishedAt >= notAfter) return -Infinity;
  return publishedAt + Math.min(SHORTEST_SERVICE, (notAfter - publishedAt) / 3);
}

function planOf(situation: Situation, current: Published): { at: number; reason: Reason; basis: string } {
  const advice = adviceOn(situation, current);
  const at = plannedRenewal(situation.spec, current, advice);
  if (advice?.chosen === undefined) return { at, reason: 'renewal-time', basis: '' };
  const { window, explanationUrl } = advice;
  const between = window === undefined ? '' : ` between ${isoDate(window.start)} and ${isoDate(window.end)}`;
  const why = explanationUrl === undefined ? '' : `: ${explanationUrl}`;
  return { at, reason: 'advised', basis: `; ${current.issuer} advises to renew${between}${why}` };
}

/** Only the CA that issued it may say when to renew it. */
function adviceOn({ advice }: Situation, current: Published): Advice | undefined {
  return isFromAcme(current) ? advice : undefined;
}

function isFromAcme({ origin, placeholder, issuer }: Published): boolean {
  return origin === 'issued' && !placeholder && !isLocalIssuer(issuer);
}

/** Whether it would be ordered with another profile today. What its issuer is, has to be known, and configured. */
function profileChanged(situation: Situation, current: Published): boolean {
  if (!isFromAcme(current) || !situation.spec.issuers.includes(current.issuer)) return false;
  return 'profile' in situation && 'profile' in current && situation.profile !== current.profile;
}

function needWithout(current: Exclude<Current, { state: 'published' }>): Need {
  if (current.state === 'absent') return { reason: 'missing', detail: 'nothing is published yet' };
  return { reason: 'corrupt', detail: current.why };
}

/** Why a new certificate is wanted in place of this one, or undefined. The first that holds is the one reported. */
function needOf(situation: Situation, current: Published): Need | undefined {
  const { spec, revoked, now, force } = situation;
  if (current.notBefore > now + FUTURE_TOLERANCE) {
    return { reason: 'from-the-future', detail: `it starts in the future (${isoDate(current.notBefore)}) and no kept one is valid` };
  }
  if (now >= current.notAfter) return { reason: 'expired', detail: `it expired at ${isoDate(current.notAfter)}` };
  if (revoked !== undefined) return { reason: 'revoked', detail: `it is revoked since ${isoDate(revoked.at)}` };
  if (now >= emergencyLine(spec, current)) return { reason: 'emergency', detail: `it expires at ${isoDate(current.notAfter)}` };
  const missing = spec.identifiers.filter((wanted) => !covers(current.identifiers, wanted));
  if (missing.length > 0) {
    return { reason: 'name-not-covered', detail: `it does not cover ${missing.map(displayIdentifier).join(', ')}` };
  }
  if (force) return { reason: 'forced', detail: 'the operator asked for it' };
  if (current.placeholder) return { reason: 'placeholder', detail: `it is a placeholder until ${spec.issuers[0]} answers` };
  if (current.origin === 'issued') {
    if (current.keyType !== spec.keyType) {
      return { reason: 'key-type-changed', detail: `its key is ${current.keyType}, configured is ${spec.keyType}` };
    }
    if (profileChanged(situation, current)) {
      const [has, wanted] = [current.profile ?? 'none', situation.profile ?? 'none'];
      return { reason: 'profile-changed', detail: `its profile is ${has}, configured is ${wanted}` };
    }
    if (isLocalIssuer(current.issuer) && !spec.issuers.includes(current.issuer)) {
      return { reason: 'issuer-changed', detail: `it is from ${current.issuer}, configured is ${spec.issuers.join(', ')}` };
    }
  }
  const { at, reason, basis } = planOf(situation, current);
  return now >= at ? { reason, detail: `its renewal was planned for ${isoDate(at)}${basis}` } : undefined;
}

/**
 * The issuers that may replace what is published. What is missing, damaged, expired, revoked or past its emergency line:
 * all. Else none that stands later in the list than the one it came from (of what was adopted or imported nobody knows:
 * it counts as if it came from the first), and none of the local ones where it
 * came from an ACME server that is no longer configured: a typing error in the configuration shall not turn a
 * public certificate into a private one.
 */
function allowedIssuers(spec: CertificateSpec, current: Current, emergency: boolean): readonly string[] {
  if (current.state !== 'published' || emergency || current.placeholder) return spec.issuers;
  if (current.origin !== 'issued') return spec.issuers.slice(0, 1);
  const rank = spec.issuers.indexOf(current.issuer);
  if (rank >= 0) return spec.issuers.slice(0, rank + 1);
  return isLocalIssuer(current.issuer) ? spec.issuers : spec.issuers.filter((issuer) => !isLocalIssuer(issuer));
}

function isoDate(time: number): string {
  return `${new Date(Math.min(time, LAST_DATE)).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
