import { DAY } from '../platform/clock.ts';

/** Clocks of one machine and of its containers may differ by this much without meaning anything. */
export const CLOCK_TOLERANCE = DAY;

/**
 * A resident service records something every day. A longer hole in the record than this, with `now`
 * lying inside it, is where a clock jumped ahead.
 */
export const LONGEST_QUIET = 30 * DAY;

/** What the ledger knows of time. All in ms since the epoch; undefined where there is no such event. */
export interface ClockEvidence {
  /** The latest time of any event that still counts. */
  readonly newest: number | undefined;
  /** Of the events that lie in the future of `now`: the one recorded first … */
  readonly firstAhead: number | undefined;
  /** … and the event recorded just before it. */
  readonly lastBefore: number | undefined;
}

export type ClockVerdict =
  /** `now` may be believed. */
  | 'right'
  /** The clock was ahead once and is back: what was recorded from `firstAhead` on has a false time. */
  | 'was-ahead'
  /** The clock is behind: nothing may be decided by it. */
  | 'behind';

/**
 * Whether the clock can be believed, judged by what was recorded before. An event in the future has two
 * explanations: the clock is behind now, or it was ahead then. Events that go on day by day into the future
 * mean the former. A jump of over a month just before the first of them, with `now` inside that jump, means the
 * latter. Rejected: trusting file times (the same clock wrote them) and asking a time server (nothing here may
 * depend on the network).
 */
export function judgeClock(evidence: ClockEvidence, now: number): ClockVerdict {
  const { newest, firstAhead, lastBefore } = evidence;
  if (newest === undefined || now >= newest - CLOCK_TOLERANCE) return 'right';
  if (firstAhead === undefined || lastBefore === undefined) return 'behind';
  const jumped = firstAhead - lastBefore > LONGEST_QUIET;
  return jumped && now >= lastBefore - CLOCK_TOLERANCE ? 'was-ahead' : 'behind';
}
