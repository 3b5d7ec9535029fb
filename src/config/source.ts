import { isUtf8 } from 'node:buffer';
import { lstat, open, type FileHandle } from 'node:fs/promises';
import { relative, resolve } from 'node:path';

import { PodserveError, messageOf, systemCode } from '../platform/errors.ts';

/** The configuration file as it was found. */
export interface SourceFile {
  /** Absolute path. */
  readonly file: string;
  /** The path as messages name it: relative where it lies below the current directory. */
  readonly shown: string;
  readonly bytes: Buffer;
}

/** Room for some 40,000 certificates. Reading YAML takes 200 times its size in memory, so this bounds it. */
const LARGEST_FILE = 4 * 1024 * 1024;

/** Looked for in this order when no `--config` is given. */
const DEFAULT_FILES = ['podserve.yaml', '/data/config/podserve.yaml'] as const;

/**
 * Reads the file that `--config` names or the first default one that exists; undefined when none does.
 * @throws PodserveError CONFIG_UNREADABLE
 */
export async function readSource(options: { file?: string | undefined; cwd: string }): Promise<SourceFile | undefined> {
  const { file, cwd } = options;
  for (const candidate of file === undefined ? DEFAULT_FILES : [file]) {
    const path = resolve(cwd, candidate);
    const inside = relative(cwd, path);
    const shown = inside.startsWith('..') || inside === '' ? path : inside;
    const bytes = await readRegularFile(path, shown, file === undefined);
    if (bytes !== undefined) return { file: path, shown, bytes };
  }
  return undefined;
}

/** @throws PodserveError CONFIG_INVALID, with the first line that is not UTF-8 */
export function decode({ bytes, shown }: SourceFile): string {
  if (isUtf8(bytes)) return new TextDecoder().decode(bytes);
  let line = 1;
  for (let start = 0; ; line++) {
    const end = bytes.indexOf(0x0a, start);
    if (!isUtf8(bytes.subarray(start, end === -1 ? bytes.length : end)) || end === -1) break;
    start = end + 1;
  }
  throw new PodserveError('CONFIG_INVALID', 'the configuration is wrong', {
    where: `${shown}:${line}`,
    why: 'this line is not UTF-8',
    remedy: 'save the file as UTF-8',
  });
}

async function readRegularFile(path: string, shown: string, optional: boolean): Promise<Buffer | undefined> {
  try {
    await using handle = await openUnlessDevice(path, shown);
    const { size } = await handle.stat();
    if (size > LARGEST_FILE) throw unreadable(shown, `it has ${size} bytes; at most ${LARGEST_FILE} are read`, 'is it the right file?');
    return await handle.readFile();
  } catch (error) {
    if (error instanceof PodserveError) throw error;
    if (optional && isAbsent(error) && !(await isDanglingLink(path))) return undefined;
    throw unreadable(shown, reasonOf(error), remedyOf(error), error);
  }
}

/** A FIFO without a writer would hold the opening for ever, and nothing but a file can be read again at SIGHUP. */
async function openUnlessDevice(path: string, shown: string): Promise<FileHandle> {
  const { O_RDONLY, O_NONBLOCK } = (await import('node:fs')).constants;
  const handle = await open(path, O_RDONLY | O_NONBLOCK);
  const kind = await handle.stat();
  if (kind.isFile()) return handle;
  await handle.close();
  throw unreadable(shown, kind.isDirectory() ? 'it is a directory' : 'it is not a file', 'name the YAML file itself');
}

async function isDanglingLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink();
  } catch {
    return false;
  }
}

function isAbsent(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function reasonOf(error: unknown): string {
  const code = systemCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'this user may not read it';
  if (code === 'ELOOP') return 'its symbolic links lead in a circle';
  return messageOf(error);
}

function remedyOf(error: unknown): string {
  const code = systemCode(error);
  if (code === 'EACCES' || code === 'EPERM') return 'give this user the right to read it and to enter its directories';
  return 'check the path, or leave out --config to work with defaults';
}

function unreadable(where: string, why: string, remedy: string, cause?: unknown): PodserveError {
  return new PodserveError('CONFIG_UNREADABLE', 'the configuration file cannot be read', {
    where,
    why,
    remedy,
    ...(cause === undefined ? {} : { cause }),
  });
}
