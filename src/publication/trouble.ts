import { lstatSync } from 'node:fs';

import { PodserveError, systemCode } from '../platform/errors.ts';

/** PUBLICATION_UNREADABLE for a system error met while reading `where`. */
export function unreadable(where: string, cause: unknown): PodserveError {
  return new PodserveError('PUBLICATION_UNREADABLE', 'the publication cannot be read', {
    where,
    why: reasonOf(cause, where),
    remedy: readRemedy(systemCode(cause)),
    cause,
  });
}

/** PUBLICATION_UNREADABLE for something that is there and is not what belongs there. */
export function misplaced(where: string, why: string): PodserveError {
  return new PodserveError('PUBLICATION_UNREADABLE', 'the publication cannot be read', { where, why, remedy: RENEW });
}

/** BUNDLE_INVALID for published files that do not belong together. */
export function damaged(where: string, why: string, cause?: unknown): PodserveError {
  return new PodserveError('BUNDLE_INVALID', 'the published certificate is damaged', { where, why, remedy: RENEW, cause });
}

/** PUBLICATION_UNWRITABLE for a system error met while publishing. What is published stays as it is. */
export function unwritable(doing: string, where: string, cause: unknown): unknown {
  // What is no refusal of the system is a mistake of ours, and keeps its own stack.
  if (!/^E(?!RR_)/.test(systemCode(cause) ?? '')) return cause;
  const path = pathOf(cause) ?? where;
  return new PodserveError('PUBLICATION_UNWRITABLE', doing, {
    where: path,
    why: reasonOf(cause, path),
    remedy: `${writeRemedy(systemCode(cause), path)}; what was published before stays as it is`,
    cause,
  });
}

/** Whether the disk (or the user's quota on it) is full. */
export function isFull(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

const RENEW = 'podserve certificates --mode renew puts a new one in its place';

function reasonOf(cause: unknown, path: string): string {
  const code = systemCode(cause);
  switch (code) {
    case 'ENOENT':
      return 'it is missing';
    case 'EACCES':
    case 'EPERM':
      return `user ${userId()} may not (${code})${ownerOf(path)}`;
    case 'ENOSPC':
      return 'the disk is full (ENOSPC)';
    case 'EDQUOT':
      return 'the disk quota is used up (EDQUOT)';
    case 'EROFS':
      return 'the file system is read-only (EROFS)';
    case 'ENOTDIR':
      return 'there is a file where a directory belongs (ENOTDIR)';
    case 'EISDIR':
      return 'there is a directory where a file belongs (EISDIR)';
    case 'ELOOP':
      return 'its links lead in a circle (ELOOP)';
    case 'EBUSY':
      return 'something is mounted there (EBUSY)';
    case undefined:
    default:
      return `the system refused (${code})`;
  }
}

function readRemedy(code: string | undefined): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return 'run it as the owner or as a member of the group that may read keys (CERT_KEY_GID)';
    case 'EMFILE':
    case 'ENFILE':
      return 'raise the limit of open files (ulimit -n)';
    case 'ELOOP':
      return 'remove the links that lead in a circle';
    case 'EIO':
    case 'ESTALE':
      return 'look after the disk or the mount it is on';
    case undefined:
    default:
      return RENEW;
  }
}

function writeRemedy(code: string | undefined, path: string): string {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'free some space there (df -h, df -i)';
    case 'EROFS':
      return 'mount it writable, then run it again';
    case 'EACCES':
    case 'EPERM':
      return 'run it as the owner, or give the directory to the user it runs as (chown)';
    case 'EBUSY':
      return 'mount whole directories, not single files';
    case 'EMFILE':
    case 'ENFILE':
      return 'raise the limit of open files (ulimit -n)';
    case undefined:
    default:
      return `see what is at ${path} and move it away`;
  }
}

function userId(): string {
  return String(process.geteuid?.() ?? '?');
}

function ownerOf(path: string): string {
  try {
    const { uid, gid, mode } = lstatSync(path);
    return `; it belongs to user ${uid}, group ${gid}, mode ${(mode & 0o7777).toString(8).padStart(4, '0')}`;
  } catch {
    return '';
  }
}

function pathOf(error: unknown): string | undefined {
  const { path } = error instanceof Error ? (error as NodeJS.ErrnoException) : { path: undefined };
  return typeof path === 'string' && path.startsWith('/') ? path : undefined;
}
