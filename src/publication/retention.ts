import { HOUR } from '../platform/clock.ts';

/** A generation that is there. */
export interface Kept {
  readonly number: number;
  /** When it stopped being current, ms since the epoch; of the current one it is not asked. */
  readonly endedAt: number;
}

export interface Terms {
  readonly current: number;
  /** The newest one before the current that reads without fault, where it is known. */
  readonly lastGood: number | undefined;
  readonly now: number;
  /** The disk is full: readers that are slow no longer count. */
  readonly urgent: boolean;
}

/** How long a reader may take that resolved `..data`. */
const SLOWEST_READER = HOUR;
const KEEP_NEWEST = 3;

/**
 * What one step of the clock is believed. Every moment at which a generation ended is on record; of the time between
 * two of them no more than half of what a reader may take is counted. So no single jump of the clock, however wide,
 * makes a generation old that ended a minute ago, and a jump back only keeps it longer.
 */
const LONGEST_STEP = SLOWEST_READER / 2;

/**
 * The generations that may be removed (DESIGN §5): neither the current, nor the newest three, nor the last good one,
 * and not current for over an hour.
 */
export function removable(kept: readonly Kept[], terms: Terms): number[] {
  const byAge = [...kept].sort((a, b) => a.number - b.number);
  const newest = new Set(byAge.slice(-KEEP_NEWEST).map(({ number }) => number));
  const ended = byAge.filter(({ number }) => number !== terms.current);
  return ended
    .filter(({ number }) => !newest.has(number) && number !== terms.lastGood)
    .filter((one) => terms.urgent || timeSince(one, ended, terms.now) >= SLOWEST_READER)
    .map(({ number }) => number);
}

/** How long ago a generation ended, at least; ms. */
function timeSince(generation: Kept, ended: readonly Kept[], now: number): number {
  const moments = [...ended.filter(({ number }) => number >= generation.number).map(({ endedAt }) => endedAt), now];
  // After a return to an older generation, moments of newer ones lie before this one's end: they are no time since.
  const floor = generation.endedAt <= now ? generation.endedAt : -Infinity;
  const steps = moments.slice(1).map((moment, index) => Math.max(moment, floor) - Math.max(moments[index] ?? moment, floor));
  return steps.reduce((sum, step) => sum + Math.min(Math.max(step, 0), LONGEST_STEP), 0);
}
