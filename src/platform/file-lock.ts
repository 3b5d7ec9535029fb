import { accessSync, closeSync, constants, linkSync, lstatSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';

import { messageOf, systemCode } from './errors.ts';
import { temporaryName } from './files.ts';

/** Who holds a lock, for those who wait. */
export interface Holder {
  readonly host: string;
  readonly container?: string;
  /** The command line's verb. */
  readonly command: string;
}

export interface FileLockOptions {
  readonly holder: Holder;
  /** How long to wait for another holder, ms. */
  readonly waitMs: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
}

/** A lock that cannot be taken at all, with what is wrong and what helps. */
export class FileLockError extends Error {
  override readonly name = 'FileLockError';
  readonly remedy: string;

  constructor(why: string, remedy: string, cause?: unknown) {
    super(why, { cause });
    this.remedy = remedy;
  }
}

const ASK_AGAIN = 50;
/** SQLite result codes (https://sqlite.org/rescode.html), without their extensions. */
const SQLITE_BUSY = 5;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/**
 * Takes the lock that `file` stands for, making the empty file (0600) where it is missing. Held until disposed of, or
 * until the process ends in whatever way.
 *
 * The lock is an exclusive transaction of SQLite on an empty file: SQLite takes a POSIX record lock, which the kernel
 * frees with the process and which holds between containers on one volume. Rejected: a file with a process id, which
 * outlives a kill and means nothing in another container; flock(2), which Node does not offer. POSIX record locks have
 * a trap: a process loses them when it closes *any* descriptor of the file, so nothing here ever opens it but SQLite,
 * which knows how to share it within a process.
 * @returns the lock, or a sentence about who holds it when that lasts longer than `waitMs`
 * @throws FileLockError; the system's error; the signal's reason
 */
export async function lockFile(file: string, options: FileLockOptions): Promise<AsyncDisposable | string> {
  prepare(file);
  const { DatabaseSync: Database } = await import('node:sqlite');
  const started = performance.now();
  for (;;) {
    options.signal?.throwIfAborted();
    const database = tryLock(Database, file);
    if (database !== undefined) {
      noteHolder(file, options.holder);
      return held(file, database);
    }
    const left = options.waitMs - (performance.now() - started);
    if (left <= 0) return describeHolder(holderFile(file));
    await pause(Math.min(ASK_AGAIN, left), undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
      () => undefined,
    );
  }
}

function held(file: string, database: DatabaseSync): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      if (!database.isOpen) return;
      tryRemove(holderFile(file));
      database.close();
    },
  };
}

/** @returns undefined while somebody else holds it */
function tryLock(Database: typeof DatabaseSync, file: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new Database(file, { timeout: 0 });
    // Beginning touches the first page of an empty database; its journal must not need room on a full disk.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    const code = sqliteCode(error);
    if (code === SQLITE_BUSY) return undefined;
    throw unlockable(file, code, error);
  }
}

function prepare(file: string): void {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) createEmpty(file);
  else if (!stat.isFile()) {
    throw new FileLockError('it is a link or directory where the lock file belongs', 'remove it, then run it again');
  }
  // SQLite would open it for reading only, and then grant a lock that is none.
  accessSync(file, constants.W_OK);
}

/** By link(2): it follows nothing, overwrites nothing, and closes no descriptor of a file that could be locked. */
function createEmpty(file: string): void {
  const temporary = temporaryName(file);
  closeSync(openSync(temporary, 'wx', 0o600));
  try {
    linkSync(temporary, file);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function holderFile(file: string): string {
  return `${file}.holder`;
}

/** Who holds it and since when, for those who wait. A full disk must not stop a lock that needs no space itself. */
function noteHolder(lock: string, holder: Holder): void {
  const file = holderFile(lock);
  tryRemove(file);
  try {
    const since = new Date().toISOString();
    writeFileSync(file, JSON.stringify({ ...holder, process: process.pid, since }), { flag: 'wx', mode: 0o600 });
  } catch {
    tryRemove(file);
  }
}

function tryRemove(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // A stale name of a holder is better than no lock.
  }
}

function describeHolder(file: string): string {
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as Partial<Holder> & { process?: number; since?: string };
    const container = holder.container === undefined ? '' : `, container ${holder.container}`;
    return `held by podserve ${holder.command} on host ${holder.host}${container}, process ${holder.process}, since ${holder.since}`;
  } catch {
    return 'who holds it is not known';
  }
}

function unlockable(file: string, code: number | undefined, cause: unknown): FileLockError {
  switch (code) {
    case SQLITE_CANTOPEN:
      return new FileLockError(`user ${process.geteuid?.() ?? '?'} cannot open it`, 'run it as the owner of it', cause);
    case SQLITE_NOTADB:
      return new FileLockError('something else was written into it', `remove ${file}: it holds nothing`, cause);
    case undefined:
    default:
      return new FileLockError(messageOf(cause), 'see whether the file system supports locks', cause);
  }
}

function sqliteCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code & 0xff : undefined;
}
