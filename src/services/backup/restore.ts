import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import type { Publisher } from '../../certificate/generation.ts';
import type { StatePaths } from '../../config/state.ts';
import { PodserveError, messageOf, systemCode } from '../../platform/errors.ts';
import { makeDirectories, replaceFile, syncDirectory } from '../../platform/files.ts';
import { lockPublication } from '../../publication/lock.ts';
import { claimInstance } from '../instance.ts';
import { lockMail } from '../mail/lock.ts';
import { CONFIG_FILE, PARTS, type FormatDocument, type Part } from './format.ts';
import { prove } from './prove.ts';
import { unpack } from './read.ts';
import { settle } from './settle.ts';

export interface RestoreOptions {
  /** Absolute path of the archive. */
  readonly file: string;
  readonly paths: StatePaths;
  /** Absolute path for the configuration. */
  readonly configFile: string;
  readonly publisher: Publisher;
  /** ms since the epoch */
  readonly now: number;
  /** Move a present state and configuration aside. */
  readonly force: boolean;
  readonly signal: AbortSignal;
}

export interface RestoreReport {
  readonly state: string;
  readonly from: FormatDocument;
  readonly certificates: readonly string[];
  /** Where the state that was there is now. */
  readonly aside: string | undefined;
  /** The configuration file that was written. */
  readonly configuration: string | undefined;
  readonly warnings: readonly string[];
}

/**
 * Puts a backup's authority, publication, mail and configuration in place. Everything is unpacked beside the state directory
 * and proven there before anything changes; then a few renames do it. What was there is moved aside, never removed.
 * @throws PodserveError USAGE, RESTORE_FAILED, ALREADY_RUNNING, PUBLICATION_LOCKED, PUBLICATION_NEWER; nothing changed then
 */
export async function restore(options: RestoreOptions): Promise<RestoreReport> {
  const { file, paths, signal, now, force } = options;
  checkArchive(file);
  const empty = isEmpty(paths.state);
  if (!empty && !force) {
    throw new PodserveError('USAGE', 'the state directory is not empty', {
      where: paths.state,
      remedy: 'give an empty one with --state DIR, or --force to move authority, certificates and mail aside',
    });
  }
  const staged = makeStage(paths.state);
  try {
    const { format, unpacked } = await unpack(file, staged, signal);
    const closed = await settle(staged, unpacked);
    const proof = await prove(staged, file, now);
    signal.throwIfAborted();
    await using holding = new AsyncDisposableStack();
    const parts = PARTS.filter((part) => part !== 'mail' || existsSync(join(staged, part)));
    if (!empty) await hold(holding, options, parts);
    const aside = putInPlace(staged, paths.state, now, empty, parts);
    await syncDirectory(dirname(paths.state));
    await syncDirectory(paths.state);
    const configuration = await putConfiguration(join(staged, CONFIG_FILE), options);
    const warnings = [...proof.warnings, ...configuration.warnings, ...(closed === 0 ? [] : [groupWarning(closed)])];
    return { state: paths.state, from: format, certificates: proof.certificates, aside, configuration: configuration.written, warnings };
  } catch (error) {
    throw failure(options, error);
  } finally {
    rmSync(staged, { recursive: true, force: true });
  }
}

function checkArchive(file: string): void {
  const wrong = (why: string, cause?: unknown): PodserveError =>
    new PodserveError('USAGE', 'the backup cannot be read', { where: file, why, remedy: 'name an archive made by podserve backup', cause });
  let isFile: boolean;
  try {
    accessSync(file, constants.R_OK);
    isFile = statSync(file).isFile();
  } catch (cause) {
    throw wrong(systemCode(cause) === 'ENOENT' ? 'there is no such file' : messageOf(cause), cause);
  }
  if (!isFile) throw wrong('it is no file');
}

function isEmpty(directory: string): boolean {
  try {
    return readdirSync(directory).length === 0;
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return true;
    throw new PodserveError('USAGE', 'the state directory cannot be used', { where: directory, why: messageOf(cause), cause });
  }
}

/** Beside the state directory, so that a rename is enough; for its owner alone. */
function makeStage(state: string): string {
  try {
    makeDirectories(dirname(state));
    return mkdtempSync(`${state}.restore-`);
  } catch (cause) {
    throw new PodserveError('RESTORE_FAILED', 'the backup cannot be unpacked beside the state directory', {
      where: dirname(state),
      why: messageOf(cause),
      remedy: 'make it writable for this user, or restore to another directory with --state DIR',
      cause,
    });
  }
}

/** Keeps services from starting in, and commands from publishing to, the state that is being replaced. */
async function hold(
  holding: AsyncDisposableStack,
  { paths, publisher, now, signal }: RestoreOptions,
  parts: readonly Part[],
): Promise<void> {
  holding.use(claimInstance(paths, 'restore', now));
  if (existsSync(paths.certificates)) holding.use(await lockPublication(paths.certificates, { publisher, waitMs: 0, signal }));
  if (parts.includes('mail') && existsSync(paths.mail)) holding.use(await lockMail(paths.mail, publisher));
}

/** @returns where the present state went; when a rename fails, those before it are undone */
/** Mail that an archive does not hold stays where it is. */
function putInPlace(staged: string, state: string, now: number, empty: boolean, parts: readonly Part[]): string | undefined {
  const undo: (() => void)[] = [];
  const move = (from: string, to: string): void => {
    if (!existsSync(from)) return;
    renameSync(from, to);
    undo.push(() => renameSync(to, from));
  };
  makeDirectories(state, 0o755);
  const aside = empty ? undefined : freeName(`${state}.before-restore-${stamp(now)}`);
  try {
    if (aside !== undefined) {
      mkdirSync(aside, { mode: 0o700 });
      for (const part of parts) move(join(state, part), join(aside, part));
    }
    for (const part of parts) move(join(staged, part), join(state, part));
  } catch (error) {
    for (const back of undo.toReversed()) back();
    if (aside !== undefined) rmdirSync(aside);
    throw error;
  }
  return aside;
}

async function putConfiguration(
  source: string,
  { configFile, force, now, file }: RestoreOptions,
): Promise<{ written: string | undefined; warnings: string[] }> {
  if (!existsSync(source)) return { written: undefined, warnings: [] };
  const content = readFileSync(source);
  const present = existsSync(configFile) ? readFileSync(configFile) : undefined;
  if (present?.equals(content)) return { written: undefined, warnings: [] };
  if (present !== undefined && !force) {
    const warning = `${configFile} differs from the backup's configuration and was kept; tar -xzOf ${file} ${CONFIG_FILE} shows the other`;
    return { written: undefined, warnings: [warning] };
  }
  const warnings: string[] = [];
  if (present !== undefined) {
    const aside = freeName(`${configFile}.before-restore-${stamp(now)}`);
    renameSync(configFile, aside);
    warnings.push(`the configuration that was there is now ${aside}`);
  }
  await replaceFile(configFile, content.toString(), 0o644);
  return { written: configFile, warnings };
}

function freeName(path: string): string {
  for (let again = 1; ; again += 1) {
    const candidate = again === 1 ? path : `${path}-${again}`;
    if (!existsSync(candidate)) return candidate;
  }
}

function stamp(now: number): string {
  return new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}

function groupWarning(count: number): string {
  return `${count} files with keys are readable by user ${process.geteuid?.()} alone: this user may not give them to their group; restore as root to keep it`;
}

function failure({ file, paths, signal }: RestoreOptions, error: unknown): unknown {
  if (signal.aborted) return new PodserveError('RESTORE_FAILED', 'the restore was stopped', { where: file, why: 'nothing was changed' });
  const code = systemCode(error);
  if (error instanceof PodserveError || code === undefined) return error;
  const remedies: Readonly<Record<string, string>> = {
    ENOSPC: 'free some space there',
    EBUSY: 'a part of it is a mount of its own: restore to another directory with --state DIR, or on the host that the volume is on',
    EXDEV: 'a part of it is a mount of its own: restore to another directory with --state DIR, or on the host that the volume is on',
  };
  return new PodserveError('RESTORE_FAILED', 'the backup could not be restored', {
    where: paths.state,
    why: messageOf(error),
    remedy: `${remedies[code] ?? 'make it writable for this user'}; what was there is as it was`,
    cause: error,
  });
}
