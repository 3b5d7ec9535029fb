import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

import { messageOf } from '../../src/platform/errors.ts';

export interface Leftover {
  readonly pid: number;
  readonly command: string;
}

/**
 * Processes of a test run that are still there: those of its session, those whose command line or working
 * directory lies in its temporary directory (daemons that made a session of their own), and their children.
 */
export function leftovers(session: number | undefined, directory: string): Leftover[] {
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => describe(Number(name)));
  const found = new Set<number>();
  for (;;) {
    const more = processes.filter(
      (one) =>
        !found.has(one.pid) &&
        (one.session === session || found.has(one.parent) || `${one.command} `.includes(directory) || one.cwd.startsWith(directory)),
    );
    if (more.length === 0) return processes.filter(({ pid }) => found.has(pid));
    for (const { pid } of more) found.add(pid);
  }
}

/** Ends each by its number and waits for it. */
export async function end(processes: readonly Leftover[], still: () => Leftover[]): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const { pid } of signal === 'SIGTERM' ? processes : still()) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if (!messageOf(error).includes('ESRCH')) throw error;
      }
    }
    for (let tries = 0; tries < 30 && still().length > 0; tries += 1) await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function describe(pid: number): (Leftover & { parent: number; session: number; cwd: string })[] {
  try {
    // pid (name) state ppid pgrp session …; the name may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    if (fields[0] === 'Z') return [];
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return [{ pid, command, parent: Number(fields[1]), session: Number(fields[3]), cwd: workingDirectory(pid) }];
  } catch {
    return [];
  }
}

function workingDirectory(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}
