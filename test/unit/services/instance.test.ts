import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { statePaths, type StatePaths } from '../../../src/config/state.ts';
import { PodserveError } from '../../../src/platform/errors.ts';
import { claimInstance, findInstance, stopInstance } from '../../../src/services/instance.ts';
import { start } from '../../support/command.ts';
import { scratchDirectory } from '../../support/scratch.ts';

type T = Parameters<typeof scratchDirectory>[0];

function paths(t: T): StatePaths {
  return statePaths('data', scratchDirectory(t));
}

function edit(state: StatePaths, changes: Record<string, unknown>): void {
  const file = join(state.authority, 'resident.json');
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...changes }));
}

test('whoever claims a state directory is found there, with what it says of itself, until it lets go', (t) => {
  const state = paths(t);
  assert.equal(findInstance(state).state, 'none');
  const claimed = claimInstance(state, 'up', 1000);
  claimed.describe({ page: 'https://localhost:8443', statusPorts: { admin: 'http://127.0.0.1:9086' } });
  const found = findInstance(state);
  assert.ok(found.state === 'running');
  assert.equal(found.instance.pid, process.pid);
  assert.equal(found.instance.command, 'up');
  assert.equal(found.instance.startedAt, 1000);
  assert.equal(found.instance.page, 'https://localhost:8443');
  claimed[Symbol.dispose]();
  assert.equal(findInstance(state).state, 'none');
  claimInstance(state, 'up', 2000)[Symbol.dispose]();
});

test('a second one is refused in one line that names process, page and remedy', (t) => {
  const state = paths(t);
  using first = claimInstance(state, 'up', Date.parse('2026-11-23T12:00:00Z'));
  first.describe({ page: 'https://localhost:8443' });
  assert.throws(
    () => claimInstance(state, 'up', 0),
    (error) => {
      assert.ok(error instanceof PodserveError);
      assert.equal(error.code, 'ALREADY_RUNNING');
      assert.equal(error.why, `podserve up is process ${process.pid} since 2026-11-23 12:00 UTC, its page is https://localhost:8443`);
      assert.match(error.remedy ?? '', /podserve down/);
      return true;
    },
  );
});

test('what a killed process left behind neither counts as running nor hinders the next', (t) => {
  const state = paths(t);
  claimInstance(state, 'up', 0)[Symbol.dispose]();
  writeFileSync(join(state.authority, 'resident.json'), '');
  assert.equal(findInstance(state).state, 'none', 'torn by a power cut');
  using claimed = claimInstance(state, 'up', 0);
  claimed.describe({});
  edit(state, { startMark: '1' });
  assert.equal(findInstance(state).state, 'none', 'the number belongs to another process now');
  edit(state, { bootId: 'before the reboot' });
  assert.equal(findInstance(state).state, 'none', 'from before a reboot');
});

test('one in a container is told from none by its lock, and not taken for a process of this host', (t) => {
  const state = paths(t);
  const claimed = claimInstance(state, 'certificates --mode cron', 0);
  edit(state, { pidNamespace: 'pid:[1]', host: 'pod-1' });
  assert.equal(findInstance(state).state, 'elsewhere');
  const record = readFileSync(join(state.authority, 'resident.json'));
  claimed[Symbol.dispose]();
  writeFileSync(join(state.authority, 'resident.json'), record);
  assert.equal(findInstance(state).state, 'none');
});

test('only the process that was proven is asked to end, and the wait ends with it', async (t) => {
  const state = paths(t);
  const { child, done } = start(t, 'sleep', ['60']);
  using claimed = claimInstance(state, 'up', 0);
  claimed.describe({});
  const found = findInstance(state);
  assert.ok(found.state === 'running');
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
  edit(state, { pid: child.pid, startMark: 'another time' });
  assert.equal(await stopInstance(state, { ...found.instance, pid: child.pid ?? 0 }, 1000), true);
  assert.equal(child.signalCode, null, 'a process with the same number is left alone');
  edit(state, { pid: child.pid, startMark: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] });
  assert.equal(await stopInstance(state, { ...found.instance, pid: child.pid ?? 0 }, 5000), true);
  assert.equal((await done).signal, 'SIGTERM');
});

test('a state directory that cannot be made is refused in one line, and a garbled lock is made anew', (t) => {
  const scratch = scratchDirectory(t);
  writeFileSync(join(scratch, 'file'), '');
  assert.throws(
    () => claimInstance(statePaths('file/data', scratch), 'up', 0),
    (error) => error instanceof PodserveError && error.code === 'STATE_UNWRITABLE' && error.where === join(scratch, 'file/data'),
  );
  const state = statePaths('data', scratch);
  mkdirSync(state.authority, { recursive: true });
  writeFileSync(join(state.authority, 'resident.lock'), 'no database at all, but long enough to be read as one'.repeat(40));
  using claimed = claimInstance(state, 'up', 0);
  claimed.describe({});
  assert.equal(findInstance(state).state, 'running');
});

test('the authority that the claim makes is its owner’s alone', (t) => {
  const state = paths(t);
  using claimed = claimInstance(state, 'up', 0);
  claimed.describe({});
  assert.equal(statSync(state.authority).mode & 0o777, 0o700);
  assert.ok(existsSync(state.state));
});
