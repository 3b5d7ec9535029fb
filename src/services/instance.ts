import { closeSync, openSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import type { StatePaths } from '../config/state.ts';
import { PodserveError, messageOf, systemCode } from '../platform/errors.ts';
import { makeDirectories } from '../platform/files.ts';
import { unreadableState } from '../platform/unreadable.ts';
import { version } from '../platform/version.ts';
import { isAlive, signalProcess, startMarkOf } from './supervisor/process.ts';

/** The resident process of a state directory. */
export interface Instance {
  readonly pid: number;
  /** As typed after `podserve`. */
  readonly command: string;
  /** ms since the epoch. */
  readonly startedAt: number;
  readonly version: string;
  readonly host: string;
  /** URL of its status page, once it is served. */
  readonly page: string | undefined;
  /** URLs of its plain status ports by service, once they are served. */
  readonly statusPorts: Readonly<Record<string, string>>;
}

export type Found =
  | { readonly state: 'none' }
  | { readonly state: 'running'; readonly instance: Instance }
  /** Written by a process that cannot be seen from here: in a container, or on another host that shares the directory. */
  | { readonly state: 'elsewhere'; readonly instance: Instance };

export interface ClaimedInstance extends Disposable {
  /** Adds what became known only after the claim. */
  describe(more: Partial<Pick<Instance, 'page' | 'statusPorts'>>): void;
}

interface Written extends Instance {
  readonly startMark: string | undefined;
  readonly bootId: string;
  readonly pidNamespace: string;
}

/** SQLITE_BUSY and SQLITE_NOTADB: result codes of https://www.sqlite.org/rescode.html */
const BUSY = 5;
const NOT_A_DATABASE = 26;

/** A process that only asks whether the lock is held holds it itself for an instant. */
const WAIT_FOR_ASKERS_MS = 100;

/**
 * Makes this process the resident one of the state directory, until disposed or dead: the claim is a lock that the
 * kernel frees with the process, so no kill leaves anything to be cleaned up. A file beside it says who holds it; a
 * file alone (the alternative) cannot be taken over from a dead process without a race between two that try.
 * @throws PodserveError ALREADY_RUNNING, STATE_UNWRITABLE
 */
export function claimInstance(paths: StatePaths, command: string, now: number): ClaimedInstance {
  const file = recordFile(paths);
  let written: Written = {
    pid: process.pid,
    command,
    startedAt: now,
    version: version(),
    host: hostname(),
    page: undefined,
    statusPorts: {},
    startMark: startMarkOf(process.pid),
    bootId: bootId(),
    pidNamespace: pidNamespace(),
  };
  const lock = takeLock(paths);
  const write = (): void => {
    writeFileSync(`${file}.new`, `${JSON.stringify(written, null, 2)}\n`, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  try {
    write();
  } catch (cause) {
    lock.close();
    throw unwritable(paths, cause);
  }
  return {
    describe(more) {
      written = { ...written, ...more };
      write();
    },
    [Symbol.dispose]() {
      rmSync(file, { force: true });
      lock.close();
    },
  };
}

/**
 * The resident process of the state directory, proven to be alive by its start time. Changes nothing.
 * @throws PodserveError STATE_UNREADABLE: whether one runs is not known then
 */
export function findInstance(paths: StatePaths): Found {
  const written = read(recordFile(paths));
  if (written === undefined) return { state: 'none' };
  const { startMark, bootId: boot, pidNamespace: namespace, ...instance } = written;
  if (boot !== bootId() && instance.host === hostname()) return { state: 'none' };
  if (boot !== bootId() || namespace !== pidNamespace()) return isLocked(paths) ? { state: 'elsewhere', instance } : { state: 'none' };
  return startMark !== undefined && isAlive(instance.pid, startMark) ? { state: 'running', instance } : { state: 'none' };
}

/** Asks the process that `findInstance` has just proven to end, and no other. @returns whether it is gone in time */
export async function stopInstance(paths: StatePaths, { pid }: Instance, withinMs: number): Promise<boolean> {
  const isThere = (): boolean => {
    const found = findInstance(paths);
    return found.state === 'running' && found.instance.pid === pid;
  };
  if (isThere()) signalProcess(pid, 'SIGTERM');
  for (const deadline = performance.now() + withinMs; isThere();) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

function takeLock(paths: StatePaths): DatabaseSync {
  const file = lockFile(paths);
  try {
    makeDirectories(paths.state, 0o755);
    makeDirectories(paths.authority, 0o700);
    closeSync(openSync(file, 'a', 0o600));
    return lockDatabase(file);
  } catch (cause) {
    if (resultOf(cause) === BUSY) throw alreadyRunning(paths);
    if (resultOf(cause) !== NOT_A_DATABASE) throw unwritable(paths, cause);
  }
  rmSync(file);
  return takeLock(paths);
}

function isLocked(paths: StatePaths): boolean {
  try {
    lockDatabase(lockFile(paths)).close();
    return false;
  } catch (error) {
    return resultOf(error) === BUSY;
  }
}

function lockDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: WAIT_FOR_ASKERS_MS });
  try {
    database.exec('BEGIN IMMEDIATE');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function alreadyRunning(paths: StatePaths): PodserveError {
  const found = findInstance(paths);
  if (found.state === 'none') {
    return new PodserveError('ALREADY_RUNNING', 'podserve runs here already', {
      where: paths.state,
      remedy: 'it is starting or ending: try again',
    });
  }
  const { pid, command, host, startedAt, page } = found.instance;
  const place = found.state === 'running' ? `process ${pid}` : `process ${pid} on ${host}`;
  const since = `${new Date(startedAt).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  return new PodserveError('ALREADY_RUNNING', 'podserve runs here already', {
    where: paths.state,
    why: `podserve ${command} is ${place} since ${since}${page === undefined ? '' : `, its page is ${page}`}`,
    remedy: 'podserve down ends it; --state DIR keeps a second one apart',
  });
}

function unwritable(paths: StatePaths, cause: unknown): PodserveError {
  const nowhere = systemCode(cause) === 'ENOSPC' || systemCode(cause) === 'EDQUOT';
  return new PodserveError('STATE_UNWRITABLE', 'the state directory cannot be written', {
    where: paths.state,
    why: messageOf(cause),
    remedy: nowhere ? 'free some space there' : 'make it writable for this user, or choose another with --state DIR',
    cause,
  });
}

function read(file: string): Written | undefined {
  const record = readRecord(file);
  try {
    const value = JSON.parse(record) as Partial<Written>;
    if (typeof value.pid !== 'number' || typeof value.command !== 'string' || typeof value.startedAt !== 'number') return undefined;
    return {
      pid: value.pid,
      command: value.command,
      startedAt: value.startedAt,
      version: value.version ?? '',
      host: value.host ?? '',
      page: value.page,
      statusPorts: value.statusPorts ?? {},
      startMark: value.startMark,
      bootId: value.bootId ?? '',
      pidNamespace: value.pidNamespace ?? '',
    };
  } catch {
    // None, or one that a power cut has damaged: then its process is gone as well.
    return undefined;
  }
}

function readRecord(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return '';
    throw unreadableState('it cannot be seen whether podserve runs', file, error);
  }
}

function resultOf(error: unknown): number {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
}

function lockFile(paths: StatePaths): string {
  return join(paths.authority, 'resident.lock');
}

function recordFile(paths: StatePaths): string {
  return join(paths.authority, 'resident.json');
}

function bootId(): string {
  return text('/proc/sys/kernel/random/boot_id').trim();
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
