import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { openSolver } from '../../src/challenges/open.ts';
import type { ChallengeSolver } from '../../src/challenges/solver.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { PodserveError, describeError } from '../../src/platform/errors.ts';
import { silentLog } from '../../src/platform/log.ts';
import { challengeTask, soon } from '../support/challenge-tasks.ts';
import { asUser, readOnlyMount, smallDisk } from '../support/mounts.ts';
import { scratchDirectory } from '../support/scratch.ts';

function opened(challengesDirectory: string, webroot?: string): Promise<ChallengeSolver> {
  const surroundings = { challengesDirectory, resolvers: [], clock: systemClock, log: silentLog };
  return openSolver({ type: 'http-01', via: 'webroot', webroot }, surroundings);
}

async function lineOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof PodserveError && error.code === 'CHALLENGE_FAILED', String(error));
    return describeError(error);
  }
  throw new Error('it did not fail');
}

test('on a full disk one line says so, nothing is left behind, and with space it works', async (t) => {
  const disk = smallDisk(t, '64k');
  const filler = join(disk, 'filler');
  assert.throws(() => writeFileSync(filler, Buffer.alloc(128 * 1024)), /ENOSPC/);
  await using solver = await opened(disk);
  const task = challengeTask();
  const line = await lineOf(solver.present(task, soon()));
  assert.equal(
    line,
    `the token of a challenge cannot be written: ${disk}/${task.token}: the disk is full (ENOSPC); free some space there (df -h, df -i)`,
  );
  assert.deepEqual(readdirSync(disk), ['filler']);
  rmSync(filler);
  await solver.present(task, soon());
  assert.deepEqual(readdirSync(disk), [task.token]);
});

test('a challenges volume that is mounted read-only is said to be, when writing and when cleaning up', async (t) => {
  const directory = scratchDirectory(t);
  const task = challengeTask();
  writeFileSync(join(directory, task.token), task.keyAuthorization);
  await using solver = await opened(readOnlyMount(t, directory));
  for (const [what, work] of [
    ['written', solver.present(task, soon())],
    ['removed', solver.cleanup(task)],
  ] as const) {
    const line = await lineOf(work);
    assert.match(
      line,
      new RegExp(`^the token of a challenge cannot be ${what}: .*${task.token}: the file system is read-only; mount the challenges volume`),
    );
  }
});

test('a webroot of another user names whose it is', async (t) => {
  const webroot = scratchDirectory(t);
  chmodSync(webroot, 0o755);
  mkdirSync(join(webroot, '.well-known'));
  await using solver = await opened('/nonexistent', webroot);
  const line = await asUser(65_534, () => lineOf(solver.present(challengeTask(), soon())));
  assert.match(line, /: user 65534 may not \(EACCES\); .*\.well-known belongs to user 0; run it as user 0$/);
});
