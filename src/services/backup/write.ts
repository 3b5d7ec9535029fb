import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import type { HeaderData } from 'tar';

import { PodserveError } from '../../platform/errors.ts';
import type { ArchiveEntry } from './contents.ts';

const BLOCK = 512;
const PIECE = 256 * 1024;

/** Something for the archive that is in memory, not in a file. */
export interface MemoryEntry {
  readonly path: string;
  readonly content: Buffer;
  readonly mtime: Date;
}

/**
 * Writes a compressed tar file, mode 0600 from its first byte, and syncs it. `file` must not exist.
 * @throws the system's error; PodserveError BACKUP_FAILED when a file changes under its hands
 */
export async function writeArchive(file: string, first: MemoryEntry, entries: readonly ArchiveEntry[], signal: AbortSignal): Promise<void> {
  const tar = await import('tar');
  const header = (data: HeaderData): Buffer[] => {
    const { path, linkpath, size } = data;
    const block = new tar.Header(data);
    // A name too long for the old header goes into an extended one before it (POSIX.1-2001 pax).
    if (!block.encode()) return [blockOf(block.block)];
    const extended = new tar.Pax({
      ...(path === undefined ? {} : { path }),
      ...(linkpath === undefined ? {} : { linkpath }),
      ...(size === undefined ? {} : { size }),
    });
    return [extended.encode(), blockOf(block.block)];
  };
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    // A write stream would close the descriptor at its first error, and hide that error behind its own.
    const output = async (zipped: AsyncIterable<Buffer>): Promise<void> => {
      for await (const piece of zipped) writeFileSync(descriptor, piece);
    };
    await pipeline(Readable.from(pieces(header, first, entries), { objectMode: false }), createGzip(), output, { signal });
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function* pieces(header: (data: HeaderData) => Buffer[], first: MemoryEntry, entries: readonly ArchiveEntry[]): Generator<Buffer> {
  const { path, content, mtime } = first;
  yield* header({ path, type: 'File', mode: 0o600, uid: 0, gid: 0, size: content.length, mtime });
  yield content;
  yield padding(content.length);
  for (const { path: name, type, linkpath, mode, gid, size, mtime: changed, source } of entries) {
    const shown = type === 'Directory' ? `${name}/` : name;
    yield* header({ path: shown, type, mode, uid: 0, gid, size, mtime: changed, ...(linkpath === undefined ? {} : { linkpath }) });
    if (type !== 'File') continue;
    yield* contentOf(source, size);
    yield padding(size);
  }
  yield Buffer.alloc(2 * BLOCK);
}

/** Exactly `size` bytes of a regular file, never of something else that was put in its place. */
function* contentOf(file: string, size: number): Generator<Buffer> {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!fstatSync(descriptor).isFile() || fstatSync(descriptor).size !== size) throw changedUnderHands(file);
    for (let left = size; left > 0;) {
      const piece = Buffer.allocUnsafe(Math.min(left, PIECE));
      const count = readSync(descriptor, piece, 0, piece.length, null);
      if (count === 0) throw changedUnderHands(file);
      left -= count;
      yield piece.subarray(0, count);
    }
  } finally {
    closeSync(descriptor);
  }
}

function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

function blockOf(block: Buffer | undefined): Buffer {
  if (block === undefined) throw new TypeError('the tar header was not encoded');
  return block;
}

function changedUnderHands(file: string): PodserveError {
  return new PodserveError('BACKUP_FAILED', 'the state changed while it was read', { where: file, remedy: 'try again' });
}
