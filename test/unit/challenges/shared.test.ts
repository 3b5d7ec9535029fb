import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { sharedSolvers, type SolverOpener } from '../../../src/challenges/shared.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { challengeTask, soon } from '../../support/challenge-tasks.ts';
import { freePort, scratchDirectory } from '../../support/scratch.ts';

interface Shared {
  readonly challenges: string;
  readonly open: SolverOpener;
}

function shared(t: TestContext): Shared {
  const challenges = join(scratchDirectory(t), 'challenges');
  return { challenges, open: sharedSolvers({ challengesDirectory: challenges, resolvers: [], clock: systemClock, log: silentLog }) };
}

test('two issuers that answer on the same port answer on it together', async (t) => {
  const { open } = shared(t);
  const port = await freePort();
  const listener = { type: 'http-01', via: 'listen', listen: `127.0.0.1:${port}` } as const;
  const [one, other] = await Promise.all([open(listener), open({ ...listener })]);
  const tasks = [challengeTask(), challengeTask()] as const;
  await one.present(tasks[0], soon());
  await other.present(tasks[1], soon());
  await one.cleanup(tasks[0]);
  await one[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  const answer = await fetch(`http://127.0.0.1:${port}/.well-known/acme-challenge/${tasks[1].token}`);
  assert.equal(await answer.text(), tasks[1].keyAuthorization);
  await other[Symbol.asyncDispose]();
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`), 'the last one left the port open');
});

test('other ways of answering are kept apart, and each ends with its last user', async (t) => {
  const { challenges, open } = shared(t);
  const webroot = scratchDirectory(t);
  const volume = await open({ type: 'http-01', via: 'webroot', webroot: undefined });
  const own = await open({ type: 'http-01', via: 'webroot', webroot });
  const task = challengeTask();
  await volume.present(task, soon());
  assert.ok(!existsSync(join(webroot, '.well-known')));
  await own[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(challenges), [task.token]);
  await volume[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(challenges), []);
  const again = await open({ type: 'http-01', via: 'webroot', webroot: undefined });
  await again.present(task, soon());
  assert.deepEqual(readdirSync(challenges), [task.token]);
  await again[Symbol.asyncDispose]();
});
