import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { openSolver } from '../../src/challenges/open.ts';
import type { ChallengeSolver } from '../../src/challenges/solver.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { apacheStack, newBundle, type Stack } from '../support/apache.ts';
import { challengeTask, soon } from '../support/challenge-tasks.ts';
import { run } from '../support/command.ts';
import { publishByHand } from '../support/hand-publication.ts';

const PATH = '/.well-known/acme-challenge/';

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly location: string;
  readonly body: string;
}

/** What curl gets, following nothing. */
async function curl(url: string, ...options: readonly string[]): Promise<Answer> {
  const wanted = '\\n%{http_code}|%{content_type}|%{redirect_url}';
  const { code, stdout, stderr } = await run('curl', [
    '--silent',
    '--show-error',
    '--path-as-is',
    '--max-time',
    '10',
    '--write-out',
    wanted,
    ...options,
    url,
  ]);
  assert.equal(code, 0, stderr);
  const end = stdout.lastIndexOf('\n');
  const [status = '', contentType = '', location = ''] = stdout.slice(end + 1).split('|');
  return { status: Number(status), contentType, location, body: stdout.slice(0, end) };
}

function solverOf(stack: Stack): Promise<ChallengeSolver> {
  const surroundings = { challengesDirectory: join(stack.state, 'challenges'), resolvers: [], clock: systemClock, log: silentLog };
  return openSolver({ type: 'http-01', via: 'webroot', webroot: undefined }, surroundings);
}

async function dualStack(t: TestContext): Promise<Stack> {
  const stack = await apacheStack(t, { httpHost: '[::]' });
  await stack.start().says(/apache serves/);
  return stack;
}

/** Over IPv4 and IPv6, by a name that is no site of ours, in HTTP/1.0 and 1.1. */
async function assertServed(stack: Stack, path: string, text: string): Promise<void> {
  const urls = [`http://127.0.0.1:${stack.http}${path}`, `http://[::1]:${stack.http}${path}`];
  for (const url of urls) {
    for (const options of [[], ['--header', 'Host: other.example.org'], ['--http1.0']]) {
      const answer = await curl(url, ...options);
      assert.deepEqual(answer, { status: 200, contentType: 'text/plain', location: '', body: text }, `${url} ${options.join(' ')}`);
    }
  }
}

test('Apache serves the answers of the challenges volume over IPv4 and IPv6 before there is any certificate', async (t) => {
  const stack = await dualStack(t);
  await using solver = await solverOf(stack);
  const task = challengeTask();
  assert.equal((await curl(`http://127.0.0.1:${stack.http}${PATH}${task.token}`)).status, 404);
  await solver.present(task, soon());
  await assertServed(stack, `${PATH}${task.token}`, task.keyAuthorization);
  await solver.cleanup(task);
  assert.equal((await curl(`http://127.0.0.1:${stack.http}${PATH}${task.token}`)).status, 404);
});

test('Apache answers challenges in plain HTTP when all else is redirected to HTTPS', async (t) => {
  const stack = await dualStack(t);
  publishByHand(stack.root, 'default', 1, await newBundle());
  await stack.until(({ ready }) => ready);
  await using solver = await solverOf(stack);
  const task = challengeTask();
  await solver.present(task, soon());
  assert.equal((await curl(`http://localhost:${stack.http}/other`)).status, 308);
  await assertServed(stack, `${PATH}${task.token}`, task.keyAuthorization);
  const missing = await curl(`http://127.0.0.1:${stack.http}${PATH}${challengeTask().token}`);
  assert.deepEqual([missing.status, missing.location], [404, '']);
});

test('Apache shows nothing else of the challenges volume: no list, no link, no other file, nothing outside', async (t) => {
  const stack = await dualStack(t);
  const challenges = join(stack.state, 'challenges');
  writeFileSync(join(stack.state, 'secret'), 'secret');
  symlinkSync('../secret', join(challenges, 'link'));
  symlinkSync('..', join(challenges, 'up'));
  mkdirSync(join(challenges, 'directory'));
  for (const name of ['directory/token', '.hidden', 'index.html', 'token.tmp-0123456789ab'])
    writeFileSync(join(challenges, name), 'secret');
  writeFileSync(join(challenges, 'token'), 'token.thumbprint');
  await assertServed(stack, `${PATH}token`, 'token.thumbprint');
  const inside = ['', '/', 'link', 'up', 'up/secret', 'directory', 'directory/', 'directory/token', '.hidden', 'index.html', 'token/'];
  const odd = ['token.tmp-0123456789ab', 'token%00', 'token%0a', 'token%2f..%2flink'];
  const outside = ['../secret', '%2e%2e/secret', '..%2fsecret', '../../state/secret'];
  for (const path of [...inside, ...odd, ...outside]) {
    const answer = await curl(`http://127.0.0.1:${stack.http}${PATH}${path}`);
    assert.ok(answer.status >= 400, `${path}: ${answer.status} ${answer.body}`);
    assert.doesNotMatch(answer.body, /secret|Index of|thumbprint/, path);
    assert.equal(answer.location, '', path);
  }
});
