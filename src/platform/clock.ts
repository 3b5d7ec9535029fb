/** Wall-clock time, replaceable in tests. Times are milliseconds since the epoch. */
export interface Clock {
  now(): number;
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** setTimeout holds a signed 32-bit number of milliseconds; longer sleeps are cut into pieces. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    // Long waits are cut short so that a changed wall clock is noticed by the caller's loop.
    const { promise, resolve } = Promise.withResolvers<void>();
    if (signal?.aborted) return;
    const timer = setTimeout(resolve, Math.max(0, Math.min(ms, LONGEST_TIMER)));
    const stop = (): void => resolve();
    signal?.addEventListener('abort', stop, { once: true });
    await promise;
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  },
};
