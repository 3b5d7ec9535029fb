import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmSync, type Stats } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import type { Publisher } from '../../certificate/generation.ts';
import { readSource } from '../../config/source.ts';
import type { Environment } from '../../config/variables.ts';
import type { StatePaths } from '../../config/state.ts';
import { SECOND } from '../../platform/clock.ts';
import { PodserveError, describeError, messageOf, systemCode } from '../../platform/errors.ts';
import { syncDirectory, temporaryName } from '../../platform/files.ts';
import { refusalOf } from '../../platform/unreadable.ts';
import { version } from '../../platform/version.ts';
import { lockPublication } from '../../publication/lock.ts';
import { listNames } from '../../publication/layout.ts';
import { survey } from '../certificates/survey.ts';
import { withCopies } from './changing.ts';
import { contentsOf, fileEntry, type ArchiveEntry } from './contents.ts';
import { withMailLinks } from './mailboxes.ts';
import { CONFIG_FILE, FORMAT_FILE, FORMAT_VERSION, LEDGER_FILE, PARTS, type FormatDocument } from './format.ts';
import { filesLeftOut } from './outside.ts';
import { writeArchive } from './write.ts';

export interface BackupOptions {
  /** Absolute path of the archive. */
  readonly file: string;
  readonly paths: StatePaths;
  /** Of `--config`; otherwise the default ones are looked for. */
  readonly configFile: string | undefined;
  readonly cwd: string;
  /** Names files too: those are not in the archive, and said. */
  readonly env: Environment;
  readonly publisher: Publisher;
  /** ms since the epoch */
  readonly now: number;
  /** Replace an archive that is there. */
  readonly force: boolean;
  readonly signal: AbortSignal;
}

export interface BackupReport {
  readonly file: string;
  readonly bytes: number;
  /** Names of the certificates in it. */
  readonly certificates: readonly string[];
  readonly authority: boolean;
  /** Whether accounts, mailboxes and keys of DKIM are in it. */
  readonly mail: boolean;
  /** The configuration file in it. */
  readonly configuration: string | undefined;
  readonly warnings: readonly string[];
}

const LOCK_WAIT = 30 * SECOND;

/**
 * Writes authority, publication, mail and configuration into one archive, as they are at one moment: the publication is
 * locked meanwhile, the ledger copied by SQLite, and messages are held by links. The archive appears under its name when it is whole and synced.
 * @throws PodserveError USAGE, BACKUP_FAILED, PUBLICATION_LOCKED, CONFIG_UNREADABLE; nothing is left behind then
 */
export async function backup(options: BackupOptions): Promise<BackupReport> {
  const { file, paths, publisher, signal } = options;
  checkTarget(options);
  const { configFile, cwd, env } = options;
  const configuration = await readSource({ file: configFile, cwd });
  const leftOut = await filesLeftOut({ file: configFile, env, cwd }, paths);
  const work = makeWorkDirectory(file);
  const links = makeLinkDirectory(paths.mail);
  try {
    await using lock = await lockPublication(paths.certificates, { publisher, waitMs: LOCK_WAIT, signal });
    const { entries, warnings } = contentsOf(paths.state);
    const ledger = copyLedger(paths.ledger, join(work, 'ledger.sqlite'));
    const more: ArchiveEntry[] = [];
    if (ledger.copy !== undefined) more.push({ ...fileEntry(LEDGER_FILE, ledger.copy), mode: 0o600 });
    // Its real path: what is behind a link is what is wanted.
    if (configuration !== undefined) more.push(fileEntry(CONFIG_FILE, realpathSync(configuration.file)));
    const held = links === undefined ? entries : withMailLinks(entries, links);
    const all = [...withCopies(held, work), ...more];
    const archive = join(work, 'archive');
    await writeArchive(archive, formatEntry(options, all.length), all, signal);
    const certificates = listNames(lock.root);
    const report: BackupReport = {
      file,
      bytes: lstatSync(archive).size,
      certificates,
      authority: entries.some(({ path }) => path === 'authority'),
      mail: entries.some(({ path }) => path === 'mail'),
      configuration: configuration?.file,
      warnings: [...warnings, ...ledger.warnings, ...(await unsound(lock.root, certificates)), ...leftOut],
    };
    renameSync(archive, file);
    await syncDirectory(dirname(file));
    return report;
  } catch (error) {
    throw failure(file, error, signal);
  } finally {
    rmSync(work, { recursive: true, force: true });
    if (links !== undefined) rmSync(links, { recursive: true, force: true });
  }
}

/** @throws PodserveError USAGE, BACKUP_FAILED before anything is touched */
function checkTarget({ file, paths, force }: BackupOptions): void {
  const refused = (why: string, remedy: string): PodserveError => {
    return new PodserveError('USAGE', 'the backup cannot be written there', { where: file, why, remedy });
  };
  if (!PARTS.some((part) => holdsAny(join(paths.state, part)))) {
    throw new PodserveError('USAGE', 'there is nothing to back up', {
      where: paths.state,
      why: 'it holds no authority, no certificates and no mail',
      remedy: 'name the state directory with --state DIR',
    });
  }
  let parent: string;
  try {
    parent = realpathSync(dirname(file));
  } catch {
    throw refused('its directory does not exist', 'make it first');
  }
  const inside = relative(realpathSync(paths.state), join(parent, basename(file)));
  if (inside !== '..' && !inside.startsWith('../')) {
    throw refused('it is inside the state directory, which may be lost as a whole', 'keep it elsewhere, best on another machine');
  }
  const there = isThere(file);
  if (there?.isDirectory()) throw refused('it is a directory', 'name the file');
  if (there !== undefined && !there.isFile()) throw refused('it is no ordinary file', 'name another');
  if (there !== undefined && !force) throw refused('it exists', 'give another name, or --force to replace it');
}

function holdsAny(directory: string): boolean {
  try {
    return isThere(directory) !== undefined && readdirSync(directory).length > 0;
  } catch (cause) {
    throw new PodserveError('BACKUP_FAILED', 'what is to be kept cannot be read', {
      where: directory,
      ...refusalOf(directory, cause),
      cause,
    });
  }
}

function isThere(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Beside the archive, so that a rename puts it in place; for its owner alone, as the keys in it are. */
function makeWorkDirectory(file: string): string {
  try {
    const work = mkdtempSync(join(dirname(file), '.podserve-backup-'));
    chmodSync(work, 0o700);
    return work;
  } catch (cause) {
    throw new PodserveError('BACKUP_FAILED', 'the backup cannot be written', {
      where: dirname(file),
      why: messageOf(cause),
      remedy: 'choose a directory that this user may write to',
      cause,
    });
  }
}

/** In the state itself: links do not reach another file system. */
function makeLinkDirectory(mail: string): string | undefined {
  if (isThere(mail) === undefined) return undefined;
  try {
    const links = temporaryName(join(mail, 'backup'));
    mkdirSync(links, { mode: 0o700 });
    return links;
  } catch (cause) {
    throw new PodserveError('BACKUP_FAILED', 'what is to be kept of mail cannot be held', {
      where: mail,
      why: messageOf(cause),
      remedy: 'run it as the owner of the state directory; for the pods of an ordinary user by podman unshare',
      cause,
    });
  }
}

function formatEntry(options: BackupOptions, entries: number): { path: string; content: Buffer; mtime: Date } {
  const mtime = new Date(options.now);
  const document: FormatDocument = {
    format: 'podserve-backup',
    version: FORMAT_VERSION,
    createdAt: mtime.toISOString(),
    podserve: version(),
    host: hostname(),
    entries,
  };
  return { path: FORMAT_FILE, content: Buffer.from(`${JSON.stringify(document, null, 2)}\n`), mtime };
}

/** SQLITE_CORRUPT and SQLITE_NOTADB: result codes of https://www.sqlite.org/rescode.html */
const DAMAGED = new Set([11, 26]);

/** A consistent copy, whoever is writing to it. A damaged ledger costs history alone; a full disk costs the backup. */
function copyLedger(file: string, copy: string): { copy: string | undefined; warnings: string[] } {
  if (isThere(file) === undefined) return { copy: undefined, warnings: [] };
  try {
    const database = new DatabaseSync(file, { readOnly: true, timeout: 5 * SECOND });
    try {
      database.prepare('VACUUM INTO ?').run(copy);
    } finally {
      database.close();
    }
    chmodSync(copy, 0o600);
    return { copy, warnings: [] };
  } catch (error) {
    const result = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
    if (!DAMAGED.has(result)) {
      const remedy = 'see whether there is room for the backup, and run it as the owner of the state directory';
      throw new PodserveError('BACKUP_FAILED', 'the ledger cannot be copied', { where: file, why: messageOf(error), remedy, cause: error });
    }
    rmSync(copy, { force: true });
    return { copy: undefined, warnings: [`the ledger ${file} is damaged (${messageOf(error)}): the backup is without history`] };
  }
}

/** What the archive holds and a restore would not make better. */
async function unsound(root: string, names: readonly string[]): Promise<string[]> {
  const warnings: string[] = [];
  for (const name of names) {
    try {
      const { current } = await survey(root, name);
      if (current.state === 'damaged') warnings.push(`certificate ${name} is in the backup as it is, damaged: ${current.why}`);
    } catch (error) {
      warnings.push(`certificate ${name} is in the backup as it is: ${describeError(error)}`);
    }
  }
  return warnings;
}

function failure(file: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return new PodserveError('BACKUP_FAILED', 'the backup was stopped', { where: file, why: 'nothing was written' });
  if (error instanceof PodserveError || systemCode(error) === undefined) return error;
  const remedy = systemCode(error) === 'ENOSPC' ? 'free some space there' : 'run it as the owner of the state directory';
  return new PodserveError('BACKUP_FAILED', 'the backup failed', { where: file, why: messageOf(error), remedy, cause: error });
}
