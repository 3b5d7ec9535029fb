import { DAY, MINUTE } from '../platform/clock.ts';
import type { FailureKind } from './fallback.ts';

const FIRST_DELAYS = [MINUTE, 10 * MINUTE, 100 * MINUTE];
const SHORTEST = MINUTE;
/** No CA counts over more than a week: a `Retry-After` that says more is a mistake, and would end renewal for good. */
export const LONGEST_RETRY_AFTER = 7 * DAY;
/** Certificates that failed together shall not all come back in the same second. */
const JITTER = 0.2;
/** What a person has to mend: the same request a minute later gets the same answer. */
const NEEDS_A_PERSON: ReadonlySet<FailureKind> = new Set(['paused', 'caa', 'rejected', 'account', 'configuration']);
const STEPS_SKIPPED_FOR_A_PERSON = 2;

export interface Failures {
  /** How often in a row it failed, at least 1. */
  readonly count: number;
  /** When it failed last, ms since the epoch. */
  readonly at: number;
  /** When what is served now expires; undefined when nothing is published. */
  readonly notAfter: number | undefined;
  /** The CA, or the own rate-limit budget, wants no try before, ms since the epoch. */
  readonly retryAt?: number | undefined;
  /** Of the last failure. */
  readonly kind?: FailureKind | undefined;
}

/**
 * When to try again: after 1, 10 and 100 minutes, then daily, up to a fifth later by chance,
 * but never later than half of the lifetime that is left (DESIGN §6). What only a person can mend starts with the
 * 100 minutes. A later `retryAt` wins over all of that, up to a week: to come sooner would be refused, and counted.
 * @param random in [0, 1)
 * @returns ms since the epoch
 */
export function retryTime(failures: Failures, random: number): number {
  const ours = ownRetryTime(failures, random);
  if (failures.retryAt === undefined) return ours;
  return Math.max(ours, Math.min(failures.retryAt, failures.at + LONGEST_RETRY_AFTER));
}

function ownRetryTime({ count, at, notAfter, kind }: Failures, random: number): number {
  const step = count - 1 + (kind !== undefined && NEEDS_A_PERSON.has(kind) ? STEPS_SKIPPED_FOR_A_PERSON : 0);
  const delay = (FIRST_DELAYS[step] ?? DAY) * (1 + JITTER * random);
  if (notAfter === undefined) return at + delay;
  const half = Math.max(SHORTEST, (notAfter - at) / 2);
  return at + Math.min(delay, half);
}
