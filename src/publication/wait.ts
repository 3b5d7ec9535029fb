import { lstatSync, watch, type Stats } from 'node:fs';
import { join } from 'node:path';

import { SECOND, type Clock } from '../platform/clock.ts';
import { PodserveError, describeError } from '../platform/errors.ts';
import { CURRENT, DEFAULT_NAME, FILES, currentLink } from './layout.ts';
import { readCurrent, type Generation } from './read.ts';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told why what is there does not do, each time that the reason changes. */
  onReason?(reason: string): void;
}

const POLL = SECOND / 4;

/**
 * Waits until a complete, matching set of files is published in `directory`: a certificate's directory, or a whole
 * publication, which stands for its certificate `default`. Dates are not judged: with an expired certificate a service
 * still starts, and says so.
 * @throws PodserveError WAIT_TIMEOUT with the last reason; the signal's reason
 */
export async function waitForCertificates(directory: string, options: WaitOptions): Promise<Generation> {
  const { clock, signal } = options;
  const end = clock.now() + options.timeoutMs;
  let reason = '';
  for (;;) {
    signal.throwIfAborted();
    const place = placeOf(directory);
    using news = hearNews(place);
    const found = await look(directory, place);
    if (typeof found !== 'string') return found;
    if (found !== reason) options.onReason?.(found);
    reason = found;
    const left = end - clock.now();
    if (left <= 0) throw timedOut(directory, options.timeoutMs, reason);
    await clock.sleep(Math.min(POLL, left), AbortSignal.any([signal, news.signal]));
  }
}

/** The certificate's directory that is meant. */
function placeOf(directory: string): string {
  return currentLink(directory, '.')?.startsWith('..gen-') ? directory : topOrOwn(directory);
}

/** A publication is known by its certificate `default`, before its first generation too. */
function topOrOwn(directory: string): string {
  const below = join(directory, DEFAULT_NAME);
  return statOf(below) === undefined ? directory : below;
}

async function look(directory: string, place: string): Promise<Generation | string> {
  try {
    const generation = await readCurrent(place, '.');
    return generation ?? whyNothing(directory, place);
  } catch (error) {
    if (error instanceof PodserveError) return describeError(error);
    throw error;
  }
}

function whyNothing(directory: string, place: string): string {
  if (statOf(directory) === undefined) return `${directory} does not exist`;
  const plain = FILES.filter((file) => statOf(join(place, file))?.isFile());
  if (plain.length === 0) return `nothing is published in ${place} yet (there is no ${CURRENT})`;
  return `${plain.join(', ')} in ${place} are plain files; the certificate service adopts them when it starts`;
}

/** Undefined where nothing can be seen. */
function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

/** Aborts when something changes in `directory`. The poll makes up for where it cannot be watched. */
function hearNews(directory: string): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const done = new AbortController();
  try {
    const watcher = watch(directory, { signal: done.signal }, (_, file) => {
      if (file === CURRENT) controller.abort();
    });
    watcher.on('error', () => undefined);
  } catch {
    // Not there yet, or no watch to be had.
  }
  return { signal: controller.signal, [Symbol.dispose]: () => done.abort() };
}

function timedOut(directory: string, timeoutMs: number, reason: string): PodserveError {
  return new PodserveError('WAIT_TIMEOUT', `no complete certificate appeared within ${timeoutMs / SECOND} s`, {
    where: directory,
    why: reason,
    remedy: 'see what the certificate service says (podserve certificates --mode check), or wait longer with --timeout',
  });
}
