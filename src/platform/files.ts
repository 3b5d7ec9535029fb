import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  fsync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

import { systemCode } from './errors.ts';

/** Writes what the kernel still holds of this file or directory to the disk, off the main thread. */
export const sync: (descriptor: number) => Promise<void> = promisify(fsync);

/** Makes the entries of a directory durable: what was created, renamed or removed in it. */
export async function syncDirectory(directory: string): Promise<void> {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await sync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Puts `data` where `file` is, so that a reader, a kill or a power cut at any moment meets all of the old or all of
 * the new. `mode` holds whatever the umask is.
 * @param lasting `written`: a power cut may take it back, a kill cannot
 * @throws the system's error; nothing is changed and nothing left behind then
 */
export async function replaceFile(file: string, data: string, mode: number, lasting: 'synced' | 'written' = 'synced'): Promise<void> {
  const temporary = temporaryName(file);
  try {
    const descriptor = openSync(temporary, 'wx', mode);
    try {
      fchmodSync(descriptor, mode);
      writeFileSync(descriptor, data);
      if (lasting === 'synced') await sync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  if (lasting === 'synced') await syncDirectory(dirname(file));
}

const TEMPORARY = /\.tmp-[0-9a-f]{12}$/;

/** A name beside `path` that nobody else has. */
export function temporaryName(path: string): string {
  return `${path}.tmp-${randomBytes(6).toString('hex')}`;
}

/** Whether `temporaryName` made it: with the writer gone, what a killed process left behind. */
export function isTemporary(name: string): boolean {
  return TEMPORARY.test(name);
}

/** What a bounded read found: the text, or why this is no file to read. */
export type BoundedRead = { readonly text: string } | { readonly refused: string };

/**
 * Reads a regular file whole: follows no link, waits for no pipe, takes no more than `limit` bytes.
 * @throws the system's error (ENOENT, EACCES, EIO …)
 */
export function readBounded(file: string, limit: number): BoundedRead {
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    switch (systemCode(error)) {
      case 'ELOOP':
        return { refused: 'it is a link where a file belongs' };
      case 'ENXIO':
        return { refused: 'it is a socket or device where a file belongs' };
      case undefined:
      default:
        throw error;
    }
  }
  try {
    const stat = fstatSync(descriptor);
    if (stat.isDirectory()) return { refused: 'it is a directory where a file belongs' };
    if (!stat.isFile()) return { refused: 'it is a pipe or device where a file belongs' };
    const buffer = Buffer.allocUnsafe(Math.min(stat.size, limit) + 1);
    let length = 0;
    while (length < buffer.length) {
      const count = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (count === 0) return { text: buffer.toString('utf8', 0, length) };
      length += count;
    }
    return { refused: `it is larger than ${limit} bytes, or grows while it is read` };
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Makes a directory and those above it that are missing; `mode` is for the last one alone. Rejected: `recursive` of
 * node:fs, which calls a read-only file system a missing directory and tries for ever where nothing can be made (/proc).
 * @returns whether it did not exist
 * @throws the system's error
 */
export function makeDirectories(directory: string, mode = 0o777): boolean {
  try {
    mkdirSync(directory, { mode });
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST' && statSync(directory).isDirectory()) return false;
    const above = dirname(directory);
    if (systemCode(error) !== 'ENOENT' || existsSync(above)) throw error;
    makeDirectories(above);
  }
  mkdirSync(directory, { mode });
  return true;
}
