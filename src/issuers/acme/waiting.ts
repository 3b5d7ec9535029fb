import { MINUTE, SECOND, type Clock } from '../../platform/clock.ts';

/** How long one order is waited for in all, ms: a server that needs more is asked again at the next try. */
export const PATIENCE = 10 * MINUTE;

/** A server that has what it needs is mostly done by then. */
const FIRST_LOOK = 25;
const SECOND_LOOK = 250;
const LONGEST_PAUSE = 5 * SECOND;
/** However often the server says that it may be asked at once. */
const LONGEST_FLOOR = SECOND;

/** What is left of the patience with an order, ms. */
export interface Patience {
  left: number;
}

/**
 * Waits between looks at what a server works on: as long as it asks with `Retry-After`; else 25 ms before the first
 * look, then 250 ms doubling to 5 s.
 * @returns a function that resolves true when it is time for the next look, and false when the patience is at its end
 * or would be by then; it throws the signal's reason
 */
export function pauses(clock: Clock, patience: Patience, signal: AbortSignal): (retryAfter: number | undefined) => Promise<boolean> {
  let look = 0;
  return async (retryAfter) => {
    const pause = pauseBefore(look, retryAfter);
    look += 1;
    if (pause > patience.left) return false;
    const started = performance.now();
    await clock.sleep(pause, signal);
    signal.throwIfAborted();
    patience.left -= Math.max(pause, performance.now() - started);
    return true;
  };
}

function pauseBefore(look: number, retryAfter: number | undefined): number {
  if (retryAfter !== undefined) return Math.max(retryAfter, Math.min(FIRST_LOOK * 2 ** look, LONGEST_FLOOR));
  return look === 0 ? FIRST_LOOK : Math.min(SECOND_LOOK * 2 ** (look - 1), LONGEST_PAUSE);
}
