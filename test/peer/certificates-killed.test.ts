import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { readCurrent } from '../../src/publication/read.ts';
import { podserve, PODSERVE } from '../support/command.ts';
import { startReader } from '../support/readers.ts';
import { randomStream, scaled } from '../support/scale.ts';
import { scratchDirectory } from '../support/scratch.ts';

test('renewals killed with -9 at random moments never show a reader a wrong pair, lose nothing, and the next run completes', async (t) => {
  const cwd = scratchDirectory(t);
  const state = join(cwd, 'data');
  const directory = join(state, 'certificates/default');
  const args = ['certificates', '--mode', 'renew', '--force', '--state', state];
  assert.equal((await podserve(args, { cwd })).code, 0);
  const readers = (['resolved', 'combined', 'plain'] as const).map((way) => startReader(t, { directory, way }));
  const unkilled: number[] = [];
  for (let run = 0; run < 5; run += 1) unkilled.push(await timed(() => podserve(args, { cwd })));
  let usual = unkilled.toSorted((a, b) => a - b)[2] ?? 0;
  const random = randomStream('killed renewals');
  const kills = scaled(1000);
  const tally = { killed: 0, finished: 0, leftOver: 0, switched: 0 };
  let round = 0;
  for (; tally.killed < kills || tally.leftOver === 0 || tally.switched === 0; round += 1) {
    assert.ok(round < 20 * kills, `the kills miss the publications: ${JSON.stringify(tally)}`);
    const before = (await readCurrent(join(state, 'certificates'), 'default'))?.number ?? 0;
    const child = spawn(PODSERVE, args, { cwd, stdio: 'ignore' });
    const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('close', (_, signal) => resolve(signal)));
    // The first part of a run is Node's own start: little of what may break happens there.
    const moment = usual * (0.35 + 0.65 * random());
    await Promise.race([ended, pause(moment)]);
    child.kill('SIGKILL');
    const killed = (await ended) === 'SIGKILL';
    if (killed) tally.killed += 1;
    else tally.finished += 1;
    const current = await readCurrent(join(state, 'certificates'), 'default');
    assert.ok(current !== undefined && current.number >= before, `round ${round}: generation ${before} became ${current?.number}`);
    if (current.number > before) tally.switched += 1;
    // What else runs on the machine changes how long a run takes: the moments follow it.
    usual *= !killed ? 0.9 : current.number === before ? 1.05 : 1;
    if (readdirSync(directory).some((name) => name.includes('.tmp-'))) tally.leftOver += 1;
    assertLedgerReadable(join(state, 'authority/ledger.sqlite'));
  }
  const reports = await Promise.all(readers.map((stop) => stop()));
  const reads = reports.reduce((sum, report) => sum + report.reads, 0);
  console.log(`# ${round} renewals: ${JSON.stringify(tally)}; ${reads} reads`);
  assert.deepEqual(
    reports.flatMap((report) => report.failures),
    [],
  );
  const last = await podserve(args, { cwd });
  assert.equal(last.code, 0, last.stderr);
  assert.equal((await podserve(['certificates', '--mode', 'check', '--state', state], { cwd })).code, 0);
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.includes('.tmp-')),
    [],
    'the next run clears what killed ones left',
  );
});

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function assertLedgerReadable(file: string): void {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    assert.equal(database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'], 'ok');
  } finally {
    database.close();
  }
}
