import { chmodSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { HOUR } from '../../platform/clock.ts';
import { PodserveError, messageOf, systemCode } from '../../platform/errors.ts';
import { isTemporary, makeDirectories, syncDirectory } from '../../platform/files.ts';
import { refusalOf } from '../../platform/unreadable.ts';

/** No writer takes this long between a temporary file and its rename. */
const ABANDONED_AFTER = HOUR;

/** Makes `authority/acme/<issuer>`, or a directory in it, for the owner alone. @throws the system's error */
export async function makeSecretDirectory(directory: string): Promise<void> {
  for (const path of [dirname(dirname(directory)), dirname(directory), directory]) {
    if (makeDirectories(path, 0o700)) await syncDirectory(dirname(path));
  }
  if ((statSync(directory).mode & 0o077) !== 0) chmodSync(directory, 0o700);
}

/** Names in it; none where it does not exist. @throws the system's error */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Removes what killed writers left behind. @param now of the file system's clock, ms since the epoch */
export function removeAbandoned(directory: string, now: number): void {
  for (const name of namesIn(directory).filter(isTemporary)) {
    const file = join(directory, name);
    const written = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? now;
    if (now - written > ABANDONED_AFTER) rmSync(file, { force: true });
  }
}

/** AUTHORITY_UNREADABLE for a file of an ACME issuer. */
export function unreadable(what: string, file: string, cause: unknown): PodserveError {
  return new PodserveError('AUTHORITY_UNREADABLE', what, { where: file, ...refusalOf(file, cause), cause });
}

/** AUTHORITY_UNWRITABLE for a file of an ACME issuer. */
export function unwritable(what: string, file: string, cause: unknown): PodserveError {
  return new PodserveError('AUTHORITY_UNWRITABLE', what, { where: file, why: messageOf(cause), remedy: remedyOf(cause, file), cause });
}

function remedyOf(error: unknown, file: string): string {
  switch (systemCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'free some space there';
    case 'EROFS':
      return 'mount that file system writable';
    case undefined:
    default:
      return `make ${dirname(file)} writable for user ${process.geteuid?.() ?? '?'}`;
  }
}
