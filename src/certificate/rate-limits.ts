import { DAY, HOUR } from '../platform/clock.ts';
import { CLOCK_TOLERANCE } from './clock-evidence.ts';

/** A limit that a CA puts on an account: at most `count` uses of one kind within `window`, ms. */
export interface RateLimit {
  readonly kind: UseKind;
  readonly count: number;
  readonly window: number;
}

/** What CAs count. */
export type UseKind =
  | 'account' // accounts made; subject ''
  | 'order' // new orders; subject ''
  | 'certificate' // certificates issued; subject: registered domain
  | 'duplicate' // certificates issued; subject: the exact set of names
  | 'failure'; // failed authorizations; subject: identifier

/** One use, as the ledger keeps it. `at` is ms since the epoch. */
export interface Use {
  readonly issuer: string;
  readonly kind: UseKind;
  readonly subject: string;
  readonly at: number;
}

/** https://letsencrypt.org/docs/rate-limits/ as of 2025: per account, but `account` per IP address. */
export const LETSENCRYPT_LIMITS: readonly RateLimit[] = [
  { kind: 'account', count: 10, window: 3 * HOUR },
  { kind: 'order', count: 300, window: 3 * HOUR },
  { kind: 'certificate', count: 50, window: 7 * DAY },
  { kind: 'duplicate', count: 5, window: 7 * DAY },
  { kind: 'failure', count: 5, window: HOUR },
];

/** https://letsencrypt.org/docs/staging-environment/; of the figures published for failed validations, the lowest. */
export const LETSENCRYPT_STAGING_LIMITS: readonly RateLimit[] = [
  { kind: 'account', count: 50, window: 3 * HOUR },
  { kind: 'order', count: 1500, window: 3 * HOUR },
  { kind: 'certificate', count: 30_000, window: 7 * DAY },
  { kind: 'duplicate', count: 30_000, window: 7 * DAY },
  { kind: 'failure', count: 60, window: HOUR },
];

/** What is about to be used. */
export type Wanted = Pick<Use, 'kind' | 'subject'>;

/** How one limit stands for one subject. */
export interface BudgetRow extends Wanted {
  readonly used: number;
  readonly count: number;
  /** ms */
  readonly window: number;
  /** Never below 0. */
  readonly left: number;
  /** When one more is free, ms since the epoch: now, unless all are used. */
  readonly nextSlot: number;
}

export interface Budget {
  /** When all that is wanted is free at once, ms since the epoch: now, unless something is used up. */
  readonly allowedAt: number;
  /** One for each limit on each thing that is wanted. */
  readonly rows: readonly BudgetRow[];
}

/**
 * What is left of an issuer's limits. At most `count` uses within any `window`: a slot comes free when the use that
 * took it leaves the window.
 * Rejected: the token bucket that Let's Encrypt keeps (full at first, one more every `window / count`). It gives slots
 * sooner after a burst, and allows all that this allows; but it is one CA's way of counting, others do forget nothing
 * before the window is over, and only who is at the limit notices the difference.
 * @param uses of the same issuer, in any order; what the clock cannot have seen yet does not count
 */
export function budget(limits: readonly RateLimit[], uses: readonly Use[], wanted: readonly Wanted[], now: number): Budget {
  const rows = wanted.flatMap((one) =>
    limits.filter(({ kind }) => kind === one.kind).map((limit) => rowOf(limit, timesOf(uses, one, limit.window, now), one.subject, now)),
  );
  return { allowedAt: Math.max(now, ...rows.map(({ nextSlot }) => nextSlot)), rows };
}

function rowOf({ kind, count, window }: RateLimit, times: readonly number[], subject: string, now: number): BudgetRow {
  const used = times.length;
  const leaving = times[used - count];
  return {
    kind,
    subject,
    used,
    count,
    window,
    left: Math.max(0, count - used),
    nextSlot: leaving === undefined ? now : leaving + window,
  };
}

/** When it was used within the window that ends now, oldest first. */
function timesOf(uses: readonly Use[], { kind, subject }: Wanted, window: number, now: number): number[] {
  return uses
    .filter((use) => use.kind === kind && use.subject === subject && use.at > now - window && use.at <= now + CLOCK_TOLERANCE)
    .map(({ at }) => at)
    .toSorted((one, other) => one - other);
}
