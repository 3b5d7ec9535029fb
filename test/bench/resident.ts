import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../support/scratch.ts';
import { timeOf, type Row } from './measure.ts';
import { emptyDirectory, type Place } from './place.ts';

const COUNTS = [1, 1000, 10_000];
/** Long enough for the first passes to be over and the garbage to be collected. */
const IDLE_MS = 15_000;
const READY_MS = 60_000;

interface Memory {
  readonly residentKib: number;
  readonly anonymousKib: number;
}

/** What `certificates --mode cron` holds in memory while it has nothing to do. */
export async function measureResident(place: Place): Promise<Row[]> {
  const memories: Memory[] = [];
  const rows: Row[] = [];
  for (const count of COUNTS) {
    const memory = await idleMemory(place, count);
    memories.push(memory);
    const plural = count === 1 ? 'certificate' : 'certificates';
    rows.push(memoryRow(`resident, idle, ${count} ${plural}: RSS`, memory.residentKib, count === 1 ? 80 : undefined));
    rows.push(memoryRow(`resident, idle, ${count} ${plural}: anonymous`, memory.anonymousKib, count === 1 ? 30 : undefined));
  }
  const [one, , many] = memories;
  const growth = ((many?.anonymousKib ?? 0) - (one?.anonymousKib ?? 0)) / ((COUNTS[2] ?? 0) - 1);
  const what = 'resident, idle, growth per certificate (anonymous)';
  rows.push({ what, ours: `${growth.toFixed(2)} KiB`, peer: 'Caddy 9–11 KiB', ratio: '', aim: '≤ 2 KiB', met: growth <= 2 });
  return rows;
}

async function idleMemory(place: Place, count: number): Promise<Memory> {
  const state = emptyDirectory(place, `resident-${count}`);
  const config = place.configuration(count);
  const status = await freePort();
  appendFileSync(config, `certificateService: { status: '127.0.0.1:${status}' }\n`);
  timeOf({ argv: place.podserve('certificates', '--mode', 'init', '--state', state, '--config', config), env: place.env });
  const [program = '', ...args] = place.podserve('certificates', '--mode', 'cron', '--state', state, '--config', config);
  const child = spawn(program, args, { env: { ...process.env, ...place.env }, stdio: 'ignore' });
  try {
    await ready(child, status);
    await sleep(IDLE_MS);
    return memoryOf(child.pid ?? 0);
  } finally {
    await ended(child);
  }
}

/** Resolves when the status port says that the service does its job. */
export async function ready(child: ChildProcess, statusPort: number): Promise<void> {
  const until = Date.now() + READY_MS;
  while (Date.now() < until && child.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${statusPort}/readyz`).catch(() => undefined);
    if (answer?.ok === true) return;
    await sleep(50);
  }
  throw new Error(`${child.spawnargs.slice(2).join(' ')} was not ready within ${READY_MS} ms`);
}

/** Ends a process that stays, and waits for it. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once('close', () => resolve());
  child.kill('SIGTERM');
  await promise;
}

function memoryOf(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)?.[1]);
  return { residentKib: field('Rss'), anonymousKib: field('Anonymous') };
}

function memoryRow(what: string, kib: number, mostMib: number | undefined): Row {
  const mib = kib / 1024;
  const aim = mostMib === undefined ? '' : `≤ ${mostMib} MiB`;
  return { what, ours: `${mib.toFixed(1)} MiB`, peer: '', ratio: '', aim, met: mostMib === undefined ? undefined : mib <= mostMib };
}
