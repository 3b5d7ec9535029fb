import { SECOND } from '../platform/clock.ts';
import { PodserveError } from '../platform/errors.ts';

/** Of the 5 s that a service takes to stop; ending a program takes some of the others. */
const AFTER_STOP = 2.5 * SECOND;

/** Runs what takes an answer away, with a signal that says when there is no more time for it. */
export type Parting = <T>(
  order: AbortSignal | undefined,
  longest: number | undefined,
  work: (signal: AbortSignal) => Promise<T>,
) => Promise<T>;

/**
 * Taking answers away goes on after an order was given up, but not for long: all of an order together have 2.5 s then,
 * however many they are. A provider that hangs would keep the service from stopping, until somebody kills it.
 * @returns a function whose `longest` is how long one may take anyway, ms; its work's signal aborts with a PodserveError
 */
export function openParting(): Parting {
  const ends = new WeakMap<AbortSignal, number>();
  return async (order, longest, work) => {
    const controller = new AbortController();
    const timers: NodeJS.Timeout[] = [];
    const endAfter = (ms: number, of: number): void => {
      if (ms <= 0) controller.abort(tooLate(of));
      else timers.push(setTimeout(() => controller.abort(tooLate(of)), ms));
    };
    const hurry = (): void => {
      if (order === undefined) return;
      const end = ends.get(order) ?? performance.now() + AFTER_STOP;
      ends.set(order, end);
      endAfter(end - performance.now(), AFTER_STOP);
    };
    if (longest !== undefined) endAfter(longest, longest);
    if (order?.aborted === true) hurry();
    order?.addEventListener('abort', hurry, { once: true });
    try {
      return await work(controller.signal);
    } finally {
      order?.removeEventListener('abort', hurry);
      for (const timer of timers) clearTimeout(timer);
    }
  };
}

function tooLate(ms: number): PodserveError {
  return new PodserveError('CHALLENGE_FAILED', 'the record of a challenge may be left behind', {
    why: `taking it away was not done within ${ms / SECOND} s`,
    remedy: 'it goes when its order goes on; else remove TXT records of _acme-challenge that nobody needs by hand',
  });
}
