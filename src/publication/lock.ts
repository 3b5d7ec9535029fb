import { accessSync, chmodSync, closeSync, constants, linkSync, lstatSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';

import type { Publisher } from '../certificate/generation.ts';
import { PodserveError, messageOf, systemCode } from '../platform/errors.ts';
import { makeDirectories, syncDirectory, temporaryName } from '../platform/files.ts';
import { unwritable } from './trouble.ts';

/** The right to change the publication. Held until disposed of, or until the process ends in whatever way. */
export interface PublicationLock extends AsyncDisposable {
  /** The publication that it locks. */
  readonly root: string;
}

export interface LockOptions {
  /** Named to those who wait. */
  readonly publisher: Publisher;
  /** How long to wait for another holder, ms. */
  readonly waitMs: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
}

const LOCK = '.lock';
const HOLDER = '.lock.holder';
const ASK_AGAIN = 50;
/** SQLite result codes (https://sqlite.org/rescode.html), without their extensions. */
const SQLITE_BUSY = 5;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/**
 * Locks the publication at `root` for one writer, making the directory where it does not exist.
 *
 * The lock is an exclusive transaction of SQLite on an empty file: SQLite takes a POSIX record lock, which the kernel
 * frees with the process and which holds between containers on one volume. Rejected: a file with a process id, which
 * outlives a kill and means nothing in another container; flock(2), which Node does not offer. POSIX record locks have
 * a trap: a process loses them when it closes *any* descriptor of the file, so nothing here ever opens it but SQLite,
 * which knows how to share it within a process.
 * @throws PodserveError PUBLICATION_LOCKED naming the holder; PUBLICATION_UNWRITABLE; the signal's reason
 */
export async function lockPublication(root: string, options: LockOptions): Promise<PublicationLock> {
  const file = join(root, LOCK);
  await prepare(root, file);
  const { DatabaseSync: Database } = await import('node:sqlite');
  const started = performance.now();
  for (;;) {
    options.signal?.throwIfAborted();
    const database = tryLock(Database, file);
    if (database !== undefined) {
      noteHolder(root, options.publisher);
      return held(root, database);
    }
    const left = options.waitMs - (performance.now() - started);
    if (left <= 0) throw lockedBy(root, options.waitMs);
    await pause(Math.min(ASK_AGAIN, left), undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
      () => undefined,
    );
  }
}

function held(root: string, database: DatabaseSync): PublicationLock {
  return {
    root,
    async [Symbol.asyncDispose]() {
      if (!database.isOpen) return;
      tryRemove(join(root, HOLDER));
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

async function prepare(root: string, file: string): Promise<void> {
  try {
    if (makeDirectories(root)) {
      chmodSync(root, 0o755);
      await syncDirectory(dirname(root));
    }
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (stat === undefined) createEmpty(file);
    else if (!stat.isFile()) {
      throw new PodserveError('PUBLICATION_UNWRITABLE', 'the publication cannot be locked', {
        where: file,
        why: 'it is a link or directory where the lock file belongs',
        remedy: 'remove it, then run it again',
      });
    }
    // SQLite would open it for reading only, and then grant a lock that is none.
    accessSync(file, constants.W_OK);
  } catch (cause) {
    throw unwritable('the publication cannot be locked', root, cause);
  }
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

/** Who holds it and since when, for those who wait. A full disk must not stop a lock that needs no space itself. */
function noteHolder(root: string, publisher: Publisher): void {
  const file = join(root, HOLDER);
  tryRemove(file);
  try {
    const since = new Date().toISOString();
    writeFileSync(file, JSON.stringify({ ...publisher, process: process.pid, since }), { flag: 'wx', mode: 0o600 });
  } catch {
    tryRemove(file);
  }
}

function tryRemove(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // A stale name of a holder is better than no publication.
  }
}

function lockedBy(root: string, waitedMs: number): PodserveError {
  return new PodserveError('PUBLICATION_LOCKED', `another process is publishing, for over ${Math.round(waitedMs / 100) / 10} s now`, {
    where: root,
    why: describeHolder(join(root, HOLDER)),
    remedy: 'wait for it, or stop it: the lock ends with its process',
  });
}

function describeHolder(file: string): string {
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as Partial<Publisher> & { process?: number; since?: string };
    const container = holder.container === undefined ? '' : `, container ${holder.container}`;
    return `held by podserve ${holder.command} on host ${holder.host}${container}, process ${holder.process}, since ${holder.since}`;
  } catch {
    return 'who holds it is not known';
  }
}

function unlockable(file: string, code: number | undefined, cause: unknown): PodserveError {
  const [why, remedy] = causeAndRemedy(file, code, cause);
  return new PodserveError('PUBLICATION_UNWRITABLE', 'the publication cannot be locked', { where: file, why, remedy, cause });
}

function causeAndRemedy(file: string, code: number | undefined, cause: unknown): [string, string] {
  const user = process.geteuid?.() ?? '?';
  switch (code) {
    case SQLITE_CANTOPEN:
      return [`user ${user} cannot open it`, 'run it as the owner of the publication'];
    case SQLITE_NOTADB:
      return ['something else was written into it', `remove ${file}: it holds nothing`];
    case undefined:
    default:
      return [messageOf(cause), 'see whether the file system supports locks'];
  }
}

function sqliteCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' ? code & 0xff : undefined;
}
