import { chmodSync, closeSync, constants, lchownSync, openSync, utimesSync } from 'node:fs';
import { basename, join } from 'node:path';

import { eachLimited } from '../../platform/concurrency.ts';
import { systemCode } from '../../platform/errors.ts';
import { sync } from '../../platform/files.ts';
import { isSecret, type PublishedFile } from '../../publication/layout.ts';
import type { Unpacked } from './read.ts';

const SYNCS_AT_ONCE = 32;

/**
 * Gives what was unpacked its group, mode and times, and syncs it: group before mode, contents before directories.
 * The authority is its owner's alone, whatever the archive says; the mail service gives mailboxes to their user.
 * @returns how many files with keys could not be given their group, and are 0600 therefore
 */
export async function settle(target: string, unpacked: readonly Unpacked[]): Promise<number> {
  let closed = 0;
  // Backwards: a directory's own times are set after everything in it is in place.
  for (const { path, type, mode, gid, mtime } of unpacked.toReversed()) {
    if (type === 'SymbolicLink') continue;
    const place = join(target, path);
    const wanted = allowedMode(path, type, mode);
    const grouped = path.startsWith('authority') || giveGroup(place, gid);
    const own = !grouped && (wanted & 0o007) === 0 && (wanted & 0o070) !== 0;
    if (own) closed += 1;
    chmodSync(place, own ? wanted & 0o700 : wanted);
    utimesSync(place, mtime, mtime);
  }
  await eachLimited(
    [...unpacked].filter(({ type }) => type === 'File'),
    SYNCS_AT_ONCE,
    ({ path }) => syncPath(join(target, path)),
  );
  await eachLimited(
    [...unpacked].filter(({ type }) => type === 'Directory'),
    SYNCS_AT_ONCE,
    ({ path }) => syncPath(join(target, path)),
  );
  return closed;
}

function allowedMode(path: string, type: Unpacked['type'], mode: number): number {
  if (path.startsWith('authority')) return type === 'Directory' ? 0o700 : 0o600;
  if (type === 'Directory') return (mode & 0o755) | 0o700;
  return (mode & (isSecret(basename(path) as PublishedFile) ? 0o640 : 0o644)) | 0o600;
}

function giveGroup(place: string, gid: number): boolean {
  try {
    lchownSync(place, -1, gid);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EPERM' || systemCode(error) === 'EINVAL') return false;
    throw error;
  }
}

async function syncPath(path: string): Promise<void> {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await sync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
