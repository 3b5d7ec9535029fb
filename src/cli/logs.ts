import { statSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { PodserveError, systemCode } from '../platform/errors.ts';
import { LOG_NAME } from '../platform/log-file.ts';
import { unreadableState } from '../platform/unreadable.ts';
import type { Present } from '../services/pods/present.ts';
import { flag, text, type Arguments, type Command, type Context } from './command.ts';
import { pathsOf } from './settings.ts';

export const command: Command = {
  summary: 'show the log of podserve up, or of the pods',
  help: `usage: podserve logs [SERVICE…] [options]

Where pods keep their data in the state directory: their logs in one, in the order of their times, each line with its
service before it. Else the log of podserve up.

  SERVICE        of pods: only these services or pods (certificates, apache, web …)
  -n, --lines N  the last N lines, default 50
  -f, --follow   stay and show what is added, until Ctrl-C
  --state DIR    the state directory, default ./data
  --json         the lines as they are written: JSON

A service in a container that is in no pod of this directory: podman logs shows what it says.`,
  options: { lines: { type: 'string', short: 'n' }, follow: { type: 'boolean', short: 'f' } },
  positionals: true,
  run,
};

const DEFAULT_LINES = '50';
const LOOK_EVERY_MS = 250;

async function run(args: Arguments, context: Context): Promise<number> {
  const count = readCount(text(args, 'lines') ?? DEFAULT_LINES);
  const present = await podsHere(args, context);
  if (present !== undefined && present.here.length > 0) {
    const { showPodLogs } = await import('./logs-pods.ts');
    const { positionals: names } = args;
    return showPodLogs(present, { names, count, follow: flag(args, 'follow'), json: flag(args, 'json') }, context);
  }
  if (args.positionals.length > 0) throw noPods(args.positionals, present);
  const file = join(pathsOf(args, context).state, 'logs', LOG_NAME);
  const show = await printer(args, context);
  const found = await read(file);
  if (found === undefined && !flag(args, 'follow')) {
    throw new PodserveError('NOT_RUNNING', 'there is no log here', {
      where: file,
      remedy: 'podserve up writes it; --state DIR says where it is when it is elsewhere',
    });
  }
  const current = found ?? Buffer.alloc(0);
  const lines = linesOf(current);
  const older = lines.length < count ? linesOf(await read(`${file}.1`)) : [];
  for (const line of count === 0 ? [] : [...older, ...lines].slice(-count)) show(line);
  if (flag(args, 'follow')) await follow(file, current, show, context);
  return 0;
}

/** Undefined where it cannot be seen who runs: the log itself then says whose it is. */
async function podsHere(args: Arguments, context: Context): Promise<Present | undefined> {
  const { presentPods } = await import('../services/pods/present.ts');
  try {
    return await presentPods(context, pathsOf(args, context), context.signal);
  } catch (error) {
    if (error instanceof PodserveError) return undefined;
    throw error;
  }
}

function noPods(names: readonly string[], present: Present | undefined): PodserveError {
  const elsewhere = present?.elsewhere ?? [];
  return new PodserveError('NOT_RUNNING', `there is no pod here that would have a log of ${names.join(' and ')}`, {
    ...(present?.trouble === undefined ? {} : { why: present.trouble }),
    remedy:
      elsewhere.length === 0
        ? 'podserve up --pods starts them; podserve logs without a name shows the log of podserve up'
        : `pods run with ${elsewhere.join(' and ')}: --state DIR shows theirs`,
  });
}

/** Looks again and again: works on every file system, and a file that was exchanged is seen by its inode. */
async function follow(file: string, shown: Buffer, show: (line: string) => void, { clock, signal }: Context): Promise<void> {
  let position = shown.lastIndexOf('\n') + 1;
  let inode = inodeOf(file);
  while (!signal.aborted) {
    await clock.sleep(LOOK_EVERY_MS, signal);
    const now = inodeOf(file);
    if (now === undefined) continue;
    if (inode !== undefined && now !== inode) {
      // What was added to the former file between two looks is in its predecessor now.
      for (const line of linesOf((await read(`${file}.1`))?.subarray(position))) show(line);
      position = 0;
    }
    inode = now;
    const added = await readFrom(file, position);
    const whole = added.subarray(0, added.lastIndexOf('\n') + 1);
    for (const line of linesOf(whole)) show(line);
    position += whole.length;
  }
}

async function printer(args: Arguments, context: Context): Promise<(line: string) => void> {
  if (flag(args, 'json')) return (line) => context.out(line);
  const { lineFormatter } = await import('../platform/open-log.ts');
  const format = await lineFormatter(context.interactive);
  return (line) => context.out(format(line));
}

/** @returns undefined where there is none */
async function read(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw unreadableState('the log cannot be read', file, error);
  }
}

async function readFrom(file: string, position: number): Promise<Buffer> {
  await using handle = await open(file);
  const { size } = await handle.stat();
  if (size <= position) return Buffer.alloc(0);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - position), 0, size - position, position);
  return buffer.subarray(0, bytesRead);
}

function inodeOf(file: string): bigint | undefined {
  return statSync(file, { bigint: true, throwIfNoEntry: false })?.ino;
}

function linesOf(bytes: Buffer = Buffer.alloc(0)): string[] {
  return bytes
    .toString()
    .split('\n')
    .filter((line) => line !== '');
}

function readCount(given: string): number {
  if (/^\d{1,9}$/.test(given)) return Number(given);
  throw new PodserveError('USAGE', `${JSON.stringify(given)} is no number of lines`, { where: '--lines', remedy: 'give one like 50' });
}
