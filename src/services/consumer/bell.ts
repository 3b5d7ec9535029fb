import type { Clock } from '../../platform/clock.ts';

/** Lets many ring and one wait. A ring while nobody waits is not lost. */
export interface Bell {
  ring(): void;
  /** Until somebody rings or `ms` have passed. */
  wait(ms: number): Promise<void>;
}

export function hangBell(clock: Clock): Bell {
  let sleeper = new AbortController();
  return {
    ring: () => sleeper.abort(),
    async wait(ms) {
      await clock.sleep(ms, sleeper.signal);
      if (sleeper.signal.aborted) sleeper = new AbortController();
    },
  };
}
