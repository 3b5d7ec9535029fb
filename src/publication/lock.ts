import { chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { Publisher } from '../certificate/generation.ts';
import { PodserveError } from '../platform/errors.ts';
import { FileLockError, lockFile } from '../platform/file-lock.ts';
import { makeDirectories, syncDirectory } from '../platform/files.ts';
import { unwritable } from './trouble.ts';

/** The right to change the publication. Held until disposed of, or until the process ends in whatever way. */
export interface PublicationLock extends AsyncDisposable {
  /** The publication that it locks. */
  readonly root: string;
}

export interface LockOptions {
  /** Named to those who wait. */
  readonly publisher: Publisher;
  /** How long to wait for another holder, ms. */
  readonly waitMs: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
}

const LOCK = '.lock';

/**
 * Locks the publication at `root` for one writer, making the directory where it does not exist.
 * @throws PodserveError PUBLICATION_LOCKED naming the holder; PUBLICATION_UNWRITABLE; the signal's reason
 */
export async function lockPublication(root: string, options: LockOptions): Promise<PublicationLock> {
  const file = join(root, LOCK);
  try {
    if (makeDirectories(root)) {
      chmodSync(root, 0o755);
      await syncDirectory(dirname(root));
    }
    const { publisher: holder, ...waiting } = options;
    const lock = await lockFile(file, { holder, ...waiting });
    if (typeof lock === 'string') throw lockedBy(root, options.waitMs, lock);
    return { root, [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose]() };
  } catch (cause) {
    if (cause instanceof PodserveError || options.signal?.aborted) throw cause;
    const what = 'the publication cannot be locked';
    if (!(cause instanceof FileLockError)) throw unwritable(what, root, cause);
    throw new PodserveError('PUBLICATION_UNWRITABLE', what, { where: file, why: cause.message, remedy: cause.remedy, cause });
  }
}

function lockedBy(root: string, waitedMs: number, why: string): PodserveError {
  return new PodserveError('PUBLICATION_LOCKED', `another process is publishing, for over ${Math.round(waitedMs / 100) / 10} s now`, {
    where: root,
    why,
    remedy: 'wait for it, or stop it: the lock ends with its process',
  });
}
