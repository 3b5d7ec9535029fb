import { DAY, MINUTE } from '../platform/clock.ts';

const FIRST_DELAYS = [MINUTE, 10 * MINUTE, 100 * MINUTE];
const SHORTEST = MINUTE;
/** Certificates that failed together shall not all come back in the same second. */
const JITTER = 0.2;

export interface Failures {
  /** How often in a row it failed, at least 1. */
  readonly count: number;
  /** When it failed last, ms since the epoch. */
  readonly at: number;
  /** When what is served now expires; undefined when nothing is published. */
  readonly notAfter: number | undefined;
}

/**
 * When to try again: after 1, 10 and 100 minutes, then daily, up to a fifth later by chance,
 * but never later than half of the lifetime that is left (DESIGN §6).
 * @param random in [0, 1)
 * @returns ms since the epoch
 */
export function retryTime(failures: Failures, random: number): number {
  const delay = (FIRST_DELAYS[failures.count - 1] ?? DAY) * (1 + JITTER * random);
  if (failures.notAfter === undefined) return failures.at + delay;
  const half = Math.max(SHORTEST, (failures.notAfter - failures.at) / 2);
  return failures.at + Math.min(delay, half);
}
