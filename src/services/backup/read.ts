import { closeSync, createReadStream, fchmodSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';

import type { ReadEntry } from 'tar';

import { PodserveError, messageOf } from '../../platform/errors.ts';
import { FORMAT_FILE, parseFormat, type FormatDocument } from './format.ts';
import { badPath, leadsOut } from './inside.ts';

/** What was unpacked, with what it is to become. */
export interface Unpacked {
  /** In the archive. */
  readonly path: string;
  readonly type: 'File' | 'Directory' | 'SymbolicLink';
  readonly mode: number;
  readonly gid: number;
  readonly mtime: Date;
}

const LARGEST_FORMAT = 64 * 1024;

/**
 * Unpacks a backup into the empty directory `target`, everything for its owner alone. Nothing in the archive can reach
 * outside: paths are relative and plain, each directory is one that was made here, and links stay inside.
 * @throws PodserveError RESTORE_FAILED when it is no backup, newer, cut off or damaged; the system's error
 */
export async function unpack(file: string, target: string, signal: AbortSignal): Promise<{ format: FormatDocument; unpacked: Unpacked[] }> {
  const { Parser } = await import('tar');
  const receiver = receive(file, target);
  const parser = new Parser({ strict: true, onReadEntry: receiver.take });
  let failure: unknown;
  parser.on('error', (error: unknown) => (failure ??= error));
  const source = createReadStream(file);
  const unzipped = source.pipe(createGunzip());
  source.once('error', (error) => unzipped.destroy(error));
  try {
    for await (const chunk of unzipped as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      parser.write(chunk);
      if (failure !== undefined) throw failure;
    }
    parser.end();
    if (failure !== undefined) throw failure;
    return receiver.finish();
  } catch (error) {
    throw explain(file, error);
  } finally {
    source.destroy();
    receiver.close();
  }
}

interface Receiver {
  readonly take: (entry: ReadEntry) => void;
  readonly finish: () => { format: FormatDocument; unpacked: Unpacked[] };
  readonly close: () => void;
}

function receive(file: string, target: string): Receiver {
  const unpacked: Unpacked[] = [];
  const directories = new Set(['']);
  const paths = new Set<string>();
  let format: FormatDocument | undefined;
  let open: number | undefined;

  const begin = (entry: ReadEntry): ((data: Buffer) => void) => {
    const path = entry.path.replace(/\/$/, '');
    const bad = badPath(path) ?? (paths.has(path) ? 'it comes twice' : undefined);
    if (bad !== undefined) throw refused(file, `its entry ${shown(path)} must not be restored: ${bad}`);
    paths.add(path);
    if (format === undefined && path !== FORMAT_FILE) throw refused(file, `it does not begin with ${FORMAT_FILE}`);
    if (!directories.has(path.split('/').slice(0, -1).join('/')))
      throw refused(file, `its entry ${shown(path)} lies in no directory of it`);
    if (path === FORMAT_FILE && entry.type !== 'File') throw refused(file, `its ${FORMAT_FILE} is a ${entry.type}`);
    if (path === FORMAT_FILE) return takeFormat(entry);
    if (entry.type === 'Directory') {
      mkdirSync(join(target, path), { mode: 0o700 });
      directories.add(path);
    } else if (entry.type === 'SymbolicLink') {
      const link = entry.linkpath ?? '';
      if (leadsOut(path, link)) throw refused(file, `its link ${shown(path)} leads out to ${shown(link)}`);
      symlinkSync(link, join(target, path));
    } else if (entry.type === 'File') {
      open = openSync(join(target, path), 'wx', 0o600);
      fchmodSync(open, 0o600);
    } else {
      throw refused(file, `its entry ${shown(path)} is a ${entry.type}, which no backup holds`);
    }
    unpacked.push({ path, type: entry.type, mode: entry.mode ?? 0, gid: entry.gid ?? 0, mtime: entry.mtime ?? new Date(0) });
    return (data) => {
      if (open !== undefined) writeFileSync(open, data);
    };
  };
  const takeFormat = (entry: ReadEntry): ((data: Buffer) => void) => {
    if (entry.size > LARGEST_FORMAT) throw refused(file, `its ${FORMAT_FILE} is too large`);
    let text = '';
    entry.on('end', () => (format = parseFormat(text, file)));
    return (data) => (text += data.toString());
  };
  const closeOpen = (): void => {
    if (open !== undefined) closeSync(open);
    open = undefined;
  };
  return {
    // All of it runs inside parser.write: what is thrown here reaches whoever feeds the parser.
    take(entry) {
      closeOpen();
      entry.on('data', begin(entry));
      entry.on('end', closeOpen);
    },
    finish() {
      if (format === undefined) throw refused(file, 'it is empty');
      if (unpacked.length !== format.entries)
        throw refused(file, `it is cut off: ${unpacked.length} of ${format.entries} entries are there`);
      return { format, unpacked };
    },
    close: closeOpen,
  };
}

function shown(path: string): string {
  return JSON.stringify(path.length > 120 ? `${path.slice(0, 117)}…` : path);
}

function refused(file: string, why: string): PodserveError {
  return new PodserveError('RESTORE_FAILED', 'this backup cannot be restored', {
    where: file,
    why,
    remedy: 'nothing was changed; use another one',
  });
}

/** Errors of gzip and tar say that the archive is damaged; those of the system are about this machine. */
function explain(file: string, error: unknown): unknown {
  if (error instanceof PodserveError || !(error instanceof Error)) return error;
  const code = 'code' in error ? String(error.code) : '';
  if (code.startsWith('Z_')) {
    const why = code === 'Z_BUF_ERROR' ? 'it is cut off' : `it is no sound gzip file (${messageOf(error)})`;
    return refused(file, why);
  }
  return code.startsWith('TAR_') || 'tarCode' in error ? refused(file, `it is no sound tar file (${messageOf(error)})`) : error;
}
