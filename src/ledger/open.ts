import { chmodSync, closeSync, existsSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';

import { PodserveError, messageOf } from '../platform/errors.ts';
import { makeDirectories } from '../platform/files.ts';
import { ledgerOn, type Ledger } from './ledger.ts';
import { isCurrent, migrate } from './schema.ts';

export interface OpenedLedger {
  readonly ledger: Ledger;
  /** `fresh` when it was made just now, so that it should be filled from the publication. */
  readonly state: 'kept' | 'fresh' | 'in-memory';
  /** What a person should know: a damaged ledger set aside, or history that will not be kept. */
  readonly warning: string | undefined;
}

const WAIT_FOR_OTHERS_MS = 5000;
/** SQLITE_CORRUPT and SQLITE_NOTADB: result codes of https://www.sqlite.org/rescode.html */
const DAMAGED = new Set([11, 26]);

/**
 * Opens the ledger, makes it when there is none, sets a damaged one aside. Losing it costs history, never a
 * certificate: where it cannot be written at all, one in memory serves this process.
 * @throws PodserveError PUBLICATION_NEWER when a newer version wrote it
 */
export function openLedger(file: string, now: number): OpenedLedger {
  try {
    return { ...openFile(file), warning: undefined };
  } catch (error) {
    if (error instanceof PodserveError) throw error;
    if (!isDamage(error)) return inMemory(file, error);
    const aside = `${file}.damaged-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}`;
    try {
      setAside(file, aside);
      const { ledger } = openFile(file);
      return { ledger, state: 'fresh', warning: `the ledger ${file} is damaged (${messageOf(error)}); it was set aside as ${aside}` };
    } catch (second) {
      return inMemory(file, second);
    }
  }
}

/** Opens a ledger that is there and sound; undefined otherwise. Sets nothing aside. */
export function peekLedger(file: string): Ledger | undefined {
  if (!existsSync(file)) return undefined;
  try {
    return openFile(file).ledger;
  } catch {
    // Whoever opens it to write will say what is wrong with it.
    return undefined;
  }
}

/**
 * The ledger for those who change nothing, not even files beside it: what is there, or an empty one in memory where
 * there is none that can be read.
 * @throws PodserveError PUBLICATION_NEWER when a newer version wrote it
 */
export function openLedgerToRead(file: string): OpenedLedger {
  try {
    if (existsSync(file)) return { ledger: ledgerOn(databaseToRead(file)), state: 'kept', warning: undefined };
  } catch (error) {
    if (error instanceof PodserveError) throw error;
    return inMemory(file, error);
  }
  return { ...inMemory(file, undefined), warning: undefined };
}

function databaseToRead(file: string): DatabaseSync {
  // Without a log nobody has it open, and SQLite, told so, makes none; with one its files are there already.
  const unused = !existsSync(`${file}-wal`);
  const url = pathToFileURL(file);
  url.search = unused ? 'mode=ro&immutable=1' : 'mode=ro';
  const database = new DatabaseSync(url, { readOnly: true, timeout: WAIT_FOR_OTHERS_MS });
  try {
    if (isCurrent(database, file)) return database;
  } catch (error) {
    database.close();
    throw error;
  }
  database.close();
  throw new Error('it is of an older version and would have to be changed to be read');
}

/** Whether a database error means that the file's content is damaged, not that it cannot be reached. */
function isDamage(error: unknown): boolean {
  const result = error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0;
  return DAMAGED.has(result & 0xff);
}

function openFile(file: string): { ledger: Ledger; state: 'kept' | 'fresh' } {
  const directory = dirname(file);
  // The directory above is shared with consumers; the mode is for the last part alone.
  makeDirectories(dirname(directory));
  makeDirectories(directory, 0o700);
  closeToOthers(directory);
  const fresh = !existsSync(file);
  // SQLite would make it with the umask's mode; events name hosts and people's domains.
  if (fresh) closeSync(openSync(file, 'a', 0o600));
  const database = new DatabaseSync(file, { timeout: WAIT_FOR_OTHERS_MS });
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    migrate(database, file);
    const check = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
    if (check !== 'ok') throw Object.assign(new Error(String(check)), { errcode: 11 });
  } catch (error) {
    database.close();
    throw error;
  }
  return { ledger: ledgerOn(database), state: fresh ? 'fresh' : 'kept' };
}

/** One made by other means may be open: names of hosts and keys of the CA are nobody else's business. */
function closeToOthers(directory: string): void {
  try {
    if ((statSync(directory).mode & 0o077) !== 0) chmodSync(directory, 0o700);
  } catch {
    // Not ours to close; the files in it are.
  }
}

function setAside(file: string, aside: string): void {
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
  }
}

/** An empty ledger that lasts as long as this process. */
export function ledgerInMemory(): Ledger {
  const database = new DatabaseSync(':memory:');
  migrate(database, ':memory:');
  return ledgerOn(database);
}

function inMemory(file: string, cause: unknown): OpenedLedger {
  const warning = `the ledger ${file} cannot be used (${messageOf(cause)}); back-off and history last only as long as this process`;
  return { ledger: ledgerInMemory(), state: 'in-memory', warning };
}
