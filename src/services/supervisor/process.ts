import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { systemCode } from '../../platform/errors.ts';

/** Where a program is found on the search path, or undefined. */
export function findProgram(name: string, path: string): string | undefined {
  for (const directory of path.split(':')) {
    if (directory === '') continue;
    const candidate = join(directory, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Whether a signal was sent; false when the process (or the whole group, for a negative id) is gone. */
export function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false;
    throw error;
  }
}

/** The words of a process' command line, or undefined when there is no such process. */
export function commandLineOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return text === '' ? undefined : text.split('\0').filter((word) => word !== '');
  } catch {
    return undefined;
  }
}

/** A mark that tells this process from any other that had or will have its id: the time it began, in clock ticks. */
export function startMarkOf(pid: number): string | undefined {
  return statOf(pid)?.startMark;
}

/** Whether the process that began at this mark still runs. One that is dead and waits for its parent (a zombie) does not. */
export function isAlive(pid: number, startMark: string): boolean {
  const stat = statOf(pid);
  return stat?.startMark === startMark && !/^[ZXx]$/.test(stat.state);
}

function statOf(pid: number): { state: string; startMark: string | undefined } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Fields 3 and 22 of proc(5); the second field may hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startMark: fields[19] };
  } catch {
    return undefined;
  }
}
