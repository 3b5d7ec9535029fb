import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { openSolver } from '../../../src/challenges/open.ts';
import type { ChallengeSolver } from '../../../src/challenges/solver.ts';
import { DAY, systemClock } from '../../../src/platform/clock.ts';
import { describeError } from '../../../src/platform/errors.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { challengeTask, soon } from '../../support/challenge-tasks.ts';
import { scratchDirectory } from '../../support/scratch.ts';

function opened(challengesDirectory: string, webroot?: string): Promise<ChallengeSolver> {
  const surroundings = { challengesDirectory, resolvers: [], clock: systemClock, log: silentLog };
  return openSolver({ type: 'http-01', via: 'webroot', webroot }, surroundings);
}

async function failureOf(work: Promise<unknown>): Promise<string> {
  const outcome = await work.then(
    () => undefined,
    (error: unknown) => describeError(error),
  );
  assert.ok(outcome !== undefined, 'it did not fail');
  return outcome;
}

test('the challenges volume holds the answer as a file named by the token, readable for all, until it is cleaned up', async (t) => {
  const directory = join(scratchDirectory(t), 'state/challenges');
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  const task = challengeTask();
  await using solver = await opened(directory);
  await solver.present(task, soon());
  assert.equal(readFileSync(join(directory, task.token), 'utf8'), task.keyAuthorization);
  assert.equal(statSync(join(directory, task.token)).mode & 0o7777, 0o644);
  assert.equal(statSync(directory).mode & 0o7777, 0o755);
  assert.deepEqual(readdirSync(directory), [task.token]);
  await solver.cleanup(task);
  assert.deepEqual(readdirSync(directory), []);
  await solver.cleanup(task);
});

test("an operator's webroot holds the answer below /.well-known/acme-challenge/ and keeps everything else", async (t) => {
  const directory = scratchDirectory(t);
  const webroot = join(directory, 'www');
  mkdirSync(webroot);
  writeFileSync(join(webroot, 'index.html'), 'content');
  const task = challengeTask();
  await using solver = await opened(join(directory, 'challenges'), webroot);
  await solver.present(task, soon());
  const served = join(webroot, '.well-known/acme-challenge');
  assert.equal(readFileSync(join(served, task.token), 'utf8'), task.keyAuthorization);
  for (const made of [served, join(webroot, '.well-known')]) assert.equal(statSync(made).mode & 0o7777, 0o755);
  writeFileSync(join(served, 'other-client'), 'other-client.thumbprint');
  await solver.cleanup(task);
  assert.deepEqual(readdirSync(served), ['other-client']);
  assert.deepEqual(readdirSync(webroot).toSorted(), ['.well-known', 'index.html']);
  assert.ok(!existsSync(join(directory, 'challenges')), 'the challenges volume is not meant');
});

test("an operator's webroot that is missing is named and not made", async (t) => {
  const webroot = join(scratchDirectory(t), 'wwww');
  await using solver = await opened('/nonexistent', webroot);
  const line = await failureOf(solver.present(challengeTask(), soon()));
  assert.equal(line, `the token of a challenge cannot be written: ${webroot}: it is missing; make it, or correct http01.webroot`);
  assert.ok(!existsSync(webroot));
});

test('a file where the webroot or the directory of tokens belongs is said to be one', async (t) => {
  const webroot = join(scratchDirectory(t), 'www');
  writeFileSync(webroot, '');
  await using solver = await opened('/nonexistent', webroot);
  assert.match(await failureOf(solver.present(challengeTask(), soon())), /something else where a directory belongs; move it away/);
  rmSync(webroot);
  mkdirSync(join(webroot, '.well-known'), { recursive: true });
  writeFileSync(join(webroot, '.well-known/acme-challenge'), '');
  assert.match(await failureOf(solver.present(challengeTask(), soon())), /something else where a directory belongs; move it away/);
});

test('a token that leads out of the directory is refused and nothing is written', async (t) => {
  const directory = scratchDirectory(t);
  const challenges = join(directory, 'challenges');
  writeFileSync(join(directory, 'victim'), 'untouched');
  await using solver = await opened(challenges);
  const task = challengeTask('www.example.org', '../victim');
  assert.match(await failureOf(solver.present(task, soon())), /the token of a challenge is refused/);
  await solver.cleanup(task);
  assert.equal(readFileSync(join(directory, 'victim'), 'utf8'), 'untouched');
});

test('a file under the name of a token that is not the answer is never removed', async (t) => {
  const directory = scratchDirectory(t);
  const task = challengeTask();
  await using solver = await opened(directory);
  await solver.present(task, soon());
  writeFileSync(join(directory, task.token), 'of somebody else');
  await solver.cleanup(task);
  assert.deepEqual(readdirSync(directory), [task.token]);
});

test('an answer that a killed process left is removed by the clean-up of the resumed order', async (t) => {
  const directory = scratchDirectory(t);
  const task = challengeTask();
  writeFileSync(join(directory, task.token), task.keyAuthorization);
  await using solver = await opened(directory);
  await solver.cleanup(task);
  assert.deepEqual(readdirSync(directory), []);
});

test('two orders that share a token keep its answer until both are done', async (t) => {
  const directory = scratchDirectory(t);
  const task = challengeTask();
  await using solver = await opened(directory);
  await solver.present(task, soon());
  await solver.present({ ...task }, soon());
  await solver.cleanup(task);
  assert.deepEqual(readdirSync(directory), [task.token]);
  await solver.cleanup(task);
  assert.deepEqual(readdirSync(directory), []);
});

test('disposing removes what is still there', async (t) => {
  const directory = scratchDirectory(t);
  const solver = await opened(directory);
  for (const task of [challengeTask(), challengeTask()]) await solver.present(task, soon());
  await solver[Symbol.asyncDispose]();
  assert.deepEqual(readdirSync(directory), []);
});

test('an aborted order puts nothing in place', async (t) => {
  const directory = scratchDirectory(t);
  await using solver = await opened(directory);
  await assert.rejects(solver.present(challengeTask(), AbortSignal.abort(new Error('stopped'))), /stopped/);
  assert.deepEqual(readdirSync(directory), []);
});

/** A directory with every kind of leftover, all of them two days old. */
function leftovers(t: TestContext): string {
  const directory = scratchDirectory(t);
  const files: Readonly<Record<string, string>> = {
    stale: 'stale.thumbprint',
    'half.tmp-0123456789ab': 'ha',
    'not-an-answer': 'hello',
    '.htaccess': '.htaccess.thumbprint',
    'index.html': 'index.html.thumbprint',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  mkdirSync(join(directory, 'directory'));
  for (const name of readdirSync(directory))
    utimesSync(join(directory, name), new Date(Date.now() - 2 * DAY), new Date(Date.now() - 2 * DAY));
  symlinkSync('stale', join(directory, 'link'));
  writeFileSync(join(directory, 'fresh'), 'fresh.thumbprint');
  return directory;
}

test('answers that a killed process left more than a day ago are gone at the next start, and nothing else is', async (t) => {
  const directory = leftovers(t);
  await using solver = await opened(directory);
  assert.equal(solver.type, 'http-01');
  assert.deepEqual(readdirSync(directory).toSorted(), ['.htaccess', 'directory', 'fresh', 'index.html', 'link', 'not-an-answer']);
});

test("nothing old is removed in an operator's webroot", async (t) => {
  const webroot = scratchDirectory(t);
  const served = join(webroot, '.well-known/acme-challenge');
  mkdirSync(served, { recursive: true });
  writeFileSync(join(served, 'stale'), 'stale.thumbprint');
  utimesSync(join(served, 'stale'), 0, 0);
  await using solver = await opened(served, webroot);
  assert.equal(solver.type, 'http-01');
  assert.deepEqual(readdirSync(served), ['stale']);
});
