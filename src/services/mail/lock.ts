import { join } from 'node:path';

import { PodserveError, messageOf } from '../../platform/errors.ts';
import { FileLockError, lockFile, type Holder } from '../../platform/file-lock.ts';
import { makeDirectories } from '../../platform/files.ts';

/**
 * The right to serve or to replace the mail state, until disposed of or until the process ends.
 * @param directory STATE/mail, made where it is missing
 * @throws PodserveError ALREADY_RUNNING, STATE_UNWRITABLE
 */
export async function lockMail(directory: string, holder: Holder): Promise<AsyncDisposable> {
  let lock: AsyncDisposable | string;
  try {
    makeDirectories(directory, 0o711);
    lock = await lockFile(join(directory, '.lock'), { holder, waitMs: 0 });
  } catch (cause) {
    throw new PodserveError('STATE_UNWRITABLE', 'the mail state cannot be locked', {
      where: directory,
      why: messageOf(cause),
      remedy: cause instanceof FileLockError ? cause.remedy : 'run it as the owner of the mail state: root, or by podman unshare',
      cause,
    });
  }
  if (typeof lock !== 'string') return lock;
  throw new PodserveError('ALREADY_RUNNING', 'mail runs on this state directory already', {
    where: directory,
    why: lock,
    remedy: 'stop it first (podman pod stop mail), or name another directory with --state DIR',
  });
}
