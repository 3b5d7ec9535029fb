import { hostname } from 'node:os';
import { join } from 'node:path';

import { PodserveError, messageOf } from '../../platform/errors.ts';
import { FileLockError, lockFile } from '../../platform/file-lock.ts';
import { makeDirectories } from '../../platform/files.ts';
import { openCopy, type Copy, type CopyOptions } from './copy.ts';

export interface ClaimedCopy extends AsyncDisposable {
  readonly copy: Copy;
}

/** Kept in the copy's directory, so that it holds between containers that share it. */
const LOCK = '..lock';
/** What we replace may be ending still. */
const WAIT = 3000;

/**
 * The copy of one certificate, for one process at a time. Disposing of it leaves the files where they are.
 * @param candidates directories in order of preference; the first that can be made is taken
 * @throws PodserveError ALREADY_RUNNING, FILE_UNWRITABLE
 */
export async function claimCopy(
  candidates: readonly string[],
  { signal, ...options }: CopyOptions & { readonly signal: AbortSignal },
): Promise<ClaimedCopy> {
  let failure: unknown;
  for (const directory of candidates) {
    try {
      makeDirectories(directory, 0o755);
    } catch (error) {
      failure = error;
      continue;
    }
    const lock = await lockIn(directory, signal);
    try {
      return { copy: openCopy(directory, options), [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose]() };
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      throw error;
    }
  }
  throw new PodserveError('FILE_UNWRITABLE', 'there is no place for the copy', {
    where: candidates.join(', '),
    why: messageOf(failure),
    remedy: 'give a directory that you may write with --copy-to DIR',
    cause: failure,
  });
}

async function lockIn(directory: string, signal: AbortSignal): Promise<AsyncDisposable> {
  let lock: AsyncDisposable | string;
  try {
    lock = await lockFile(join(directory, LOCK), { holder: { host: hostname(), command: 'consume' }, waitMs: WAIT, signal });
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new PodserveError('FILE_UNWRITABLE', 'the copy cannot be locked', {
      where: directory,
      why: messageOf(cause),
      remedy: cause instanceof FileLockError ? cause.remedy : 'make it writable for this user, or give another with --copy-to DIR',
      cause,
    });
  }
  if (typeof lock !== 'string') return lock;
  throw new PodserveError('ALREADY_RUNNING', 'another podserve consume keeps this copy', {
    where: directory,
    why: lock,
    remedy: 'stop that one, or give this one a directory of its own with --copy-to DIR',
  });
}
