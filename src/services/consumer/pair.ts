import { readFileSync, statSync, watch, type FSWatcher } from 'node:fs';
import { dirname } from 'node:path';

import { parseBundle } from '../../certificate/bundle.ts';
import type { Publisher } from '../../certificate/generation.ts';
import { SECOND, type Clock } from '../../platform/clock.ts';
import { PodserveError, describeError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import { lockPublication } from '../../publication/lock.ts';
import { publish } from '../../publication/publish.ts';
import { hangBell } from './bell.ts';

export interface PairOptions {
  /** Absolute paths of PEM files: leaf and chain, and the key. They may come later, and may lie in different directories. */
  readonly certFile: string;
  readonly keyFile: string;
  /** A directory of ours, in which they become a publication. */
  readonly root: string;
  /** Name of the certificate there. */
  readonly name: string;
  readonly publisher: Publisher;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Pair extends AsyncDisposable {
  /** Why what is in the files now is not taken; undefined when it is. */
  readonly trouble: () => string | undefined;
}

const POLL = 2 * SECOND;
/** The second file of a pair that is being replaced comes a moment after the first. */
const SETTLE = 100;

/**
 * Makes a publication of a pair of files that somebody else keeps, so that it is combined, checked, copied and delivered
 * like any other certificate. A pair that does not belong together is not taken, and looked at again when it changes.
 * Resolves after the first look.
 */
export async function publishPair(options: PairOptions): Promise<Pair> {
  const { certFile, keyFile, root, name, publisher, clock, log } = options;
  const lifetime = new AbortController();
  const bell = hangBell(clock);
  let seen: string | undefined;
  let trouble: string | undefined;

  async function look(): Promise<void> {
    const mark = `${markOf(certFile)} ${markOf(keyFile)}`;
    if (mark === seen) return;
    try {
      const bundle = parseBundle(readFileSync(keyFile, 'utf8'), readFileSync(certFile, 'utf8'));
      await using lock = await lockPublication(root, { publisher, waitMs: SECOND });
      const keyGid = process.getgid?.() ?? 0;
      await publish(lock, { bundle, name, issuer: 'files', origin: 'imported', placeholder: false, now: clock.now(), publisher, keyGid });
      seen = mark;
      trouble = undefined;
      log.info({ certFile, keyFile }, 'the pair of files is taken');
    } catch (error) {
      const why = `${certFile} and ${keyFile} are not taken: ${describeError(error)}`;
      if (why !== trouble) log.error({ error: why }, 'the pair of files is not taken');
      trouble = why;
      // Files that are wrong stay so until they change; whatever else it was may be over soon.
      seen = error instanceof PodserveError && error.code === 'BUNDLE_INVALID' ? mark : undefined;
    }
  }

  const watchers = [...new Set([certFile, keyFile].map((file) => dirname(file)))].flatMap((directory) =>
    watched(directory, () => bell.ring()),
  );
  await look();
  const ended = (async () => {
    while (!lifetime.signal.aborted) {
      await bell.wait(POLL);
      await clock.sleep(SETTLE, lifetime.signal);
      if (!lifetime.signal.aborted) await look();
    }
  })();
  return {
    trouble: () => trouble,
    async [Symbol.asyncDispose]() {
      lifetime.abort();
      for (const watcher of watchers) watcher.close();
      bell.ring();
      await ended;
    },
  };
}

/** A directory that is not there yet is looked at by polling alone. */
function watched(directory: string, ring: () => void): FSWatcher[] {
  try {
    const watcher = watch(directory, ring);
    watcher.on('error', () => watcher.close());
    return [watcher];
  } catch {
    return [];
  }
}

function markOf(file: string): string {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? '-' : `${stat.ino}:${stat.size}:${stat.mtimeNs}`;
}
