import { chmodSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { PodserveError, messageOf } from '../platform/errors.ts';
import { commandLineOf, isAlive, signalProcess, startMarkOf } from './supervisor/process.ts';
import { makeDirectories } from '../platform/files.ts';

export interface RuntimeDirectory extends AsyncDisposable {
  readonly path: string;
}

/** Says which process a directory belongs to, and by its start time that it is still that one. */
const OWNER = 'owner';

/**
 * The directory for what may be lost with the process: checked copies of keys, rendered configuration, pipes.
 * Made 0700 for its owner, emptied, and claimed. Daemons that a killed podserve left behind are ended first: those
 * whose pid file lies there and whose command line names the directory; any other process is none of ours.
 * @param candidates in order of preference; the first that can be made is taken
 * @param pidFiles names of the daemons' pid files in it
 * @param option of the command, by which the user can give another directory
 * @throws PodserveError ALREADY_RUNNING when a living process has claimed it, DAEMON_FAILED when none can be made
 */
export async function claimRuntimeDirectory(
  candidates: readonly string[],
  pidFiles: readonly string[],
  option?: string,
): Promise<RuntimeDirectory> {
  let failure: unknown;
  for (const path of candidates) {
    try {
      makeDirectories(path, 0o700);
      if (statSync(path).uid !== process.geteuid?.()) throw new Error('it belongs to somebody else');
      chmodSync(path, 0o700);
    } catch (error) {
      failure = error;
      continue;
    }
    refuseSecond(path, option);
    for (const pidFile of pidFiles) await endLeftover(path, pidFile);
    empty(path);
    writeFileSync(join(path, OWNER), `${process.pid} ${startMarkOf(process.pid) ?? ''}`, { mode: 0o600 });
    return {
      path,
      async [Symbol.asyncDispose]() {
        empty(path);
      },
    };
  }
  throw new PodserveError('DAEMON_FAILED', 'there is no place for the runtime directory', {
    where: candidates.join(', '),
    why: messageOf(failure),
    remedy: option === undefined ? 'let this user make one of them' : `give a directory that you may write with ${option}`,
    cause: failure,
  });
}

async function endLeftover(directory: string, pidFile: string): Promise<void> {
  const pid = Number(readOptional(join(directory, pidFile)));
  if (!Number.isInteger(pid) || pid <= 1) return;
  const isOurs = (): boolean => commandLineOf(pid)?.some((word) => word.startsWith(`${directory}/`)) ?? false;
  if (isOurs()) signalProcess(pid, 'SIGTERM');
  for (let waited = 0; isOurs(); waited += 20) {
    if (waited >= 2000) signalProcess(pid, 'SIGKILL');
    await setTimeout(20);
  }
}

function refuseSecond(path: string, option: string | undefined): void {
  const [pid, mark] = readOptional(join(path, OWNER)).split(' ');
  const other = Number(pid);
  if (!Number.isInteger(other) || other <= 0 || other === process.pid) return;
  if (mark === undefined || !isAlive(other, mark)) return;
  throw new PodserveError('ALREADY_RUNNING', 'this service runs already', {
    where: path,
    why: `process ${other} (${commandLineOf(other)?.slice(-2).join(' ') ?? '?'}) uses this runtime directory`,
    remedy: option === undefined ? 'stop that one' : `stop that one, or give this one a directory of its own with ${option}`,
  });
}

function empty(path: string): void {
  for (const entry of readdirSync(path)) rmSync(join(path, entry), { recursive: true, force: true });
}

function readOptional(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
