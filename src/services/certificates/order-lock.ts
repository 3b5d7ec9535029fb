import { join } from 'node:path';

import { PodserveError, messageOf } from '../../platform/errors.ts';
import { FileLockError, lockFile } from '../../platform/file-lock.ts';
import { makeDirectories } from '../../platform/files.ts';
import type { CertificateService } from './service.ts';

/** Somebody else who orders the same certificate is nearly always done by then; if not, this one is not needed. */
const WAIT_MS = 30_000;

/**
 * The right to order one certificate, among all processes on one authority volume: an order takes minutes where the
 * publication lock is held for milliseconds, and two orders for the same names would be a duplicate at the CA.
 * @throws PodserveError PUBLICATION_LOCKED naming the holder, AUTHORITY_UNWRITABLE; the signal's reason
 */
export async function lockOrder({ paths, publisher, signal }: CertificateService, certificate: string): Promise<AsyncDisposable> {
  const directory = join(paths.acme, '.locks');
  const file = join(directory, certificate);
  try {
    makeDirectories(directory, 0o700);
    const lock = await lockFile(file, { holder: publisher, waitMs: WAIT_MS, signal });
    if (typeof lock !== 'string') return lock;
    throw new PodserveError('PUBLICATION_LOCKED', `another process is ordering the certificate ${certificate}`, {
      where: file,
      why: lock,
      remedy: 'wait for it, or stop it: the lock ends with its process',
    });
  } catch (cause) {
    if (cause instanceof PodserveError || signal.aborted) throw cause;
    const remedy = cause instanceof FileLockError ? cause.remedy : "make the state directory's authority writable for this user";
    throw new PodserveError('AUTHORITY_UNWRITABLE', `the certificate ${certificate} cannot be ordered`, {
      where: file,
      why: messageOf(cause),
      remedy,
      cause,
    });
  }
}
