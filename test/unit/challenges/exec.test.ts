import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { challengeValue } from '../../../src/challenges/dns/update.ts';
import { execSolver, type ExecOptions } from '../../../src/challenges/exec.ts';
import type { ChallengeSolver } from '../../../src/challenges/solver.ts';
import { SECOND, systemClock } from '../../../src/platform/clock.ts';
import { describeError } from '../../../src/platform/errors.ts';
import { challengeTask, soon } from '../../support/challenge-tasks.ts';
import { answerTo, answeringServer, text } from '../../support/dns-answers.ts';
import { recordingLog } from '../../support/recording-log.ts';
import { scratchDirectory } from '../../support/scratch.ts';

interface Made {
  readonly solver: ChallengeSolver;
  readonly exec: string;
  readonly log: ReturnType<typeof recordingLog>;
  readonly read: (file: string) => string;
  readonly has: (file: string) => boolean;
}

/**
 * A solver whose program runs `body`; `$DIR` in it is its directory. The DNS has what is in the file `zone` there, one
 * value a line, and what `store` in it does with $1 and $3 is what a provider would do.
 */
async function made(t: TestContext, body: string, options: ExecOptions = {}, timeout = 2 * SECOND): Promise<Made> {
  const directory = scratchDirectory(t);
  const exec = join(directory, 'program');
  const store = 'case $1 in present) echo "$3" >> $DIR/zone;; cleanup) sed -i "/^$3\\$/d" $DIR/zone;; esac';
  writeFileSync(exec, `#!/bin/sh\necho "$@" >> $DIR/calls\n${body}\n`.replaceAll('STORE', store).replaceAll('$DIR', directory));
  chmodSync(exec, 0o755);
  writeFileSync(join(directory, 'zone'), '');
  const read = (file: string): string => readFileSync(join(directory, file), 'utf8');
  const server = await answeringServer(t, (request) => {
    const values = read('zone').split('\n').filter(Boolean);
    const isText = request.readUInt16BE(request.indexOf('\0\0\x10\0\x01', 12, 'latin1') + 1) === 16;
    return [answerTo(request, { answers: isText ? values.map((value) => text('_acme-challenge.www.lab.test', value)) : [] })];
  });
  const log = recordingLog();
  const solver = await execSolver(
    { type: 'dns-01', via: 'exec', exec, propagation: { servers: [server], timeout } },
    { resolvers: [server], challengesDirectory: directory, clock: systemClock, log },
    options,
  );
  return { solver, exec, log, read, has: (file) => existsSync(join(directory, file)) };
}

async function refusal({ solver, exec }: Made): Promise<string> {
  const error: unknown = await solver.present(challengeTask('www.lab.test'), soon()).then(
    () => assert.fail('it was taken'),
    (thrown: unknown) => thrown,
  );
  assert.equal((error as { code?: string }).code, 'CHALLENGE_FAILED');
  const line = describeError(error);
  assert.ok(line.startsWith(`the challenge program failed: ${exec}: `), line);
  return line;
}

test('the program is called with present and cleanup, the name without a last dot and the value', async (t) => {
  const { solver, read } = await made(t, 'STORE');
  const task = challengeTask('*.www.lab.test');
  await solver.present(task, soon());
  assert.equal(read('zone').trim(), challengeValue(task));
  await solver.cleanup(task);
  const value = challengeValue(task);
  const name = '_acme-challenge.www.lab.test';
  assert.deepEqual(read('calls').trim().split('\n'), [`present ${name} ${value}`, `cleanup ${name} ${value}`]);
  assert.equal(read('zone'), '');
});

test('the CA is told only when the value is in the DNS', async (t) => {
  const { solver, read } = await made(t, 'case $1 in present) (sleep 0.7; echo "$3" >> $DIR/zone) > /dev/null 2>&1 &;; esac');
  const task = challengeTask('www.lab.test');
  const begun = performance.now();
  await solver.present(task, soon());
  assert.ok(performance.now() - begun > 600);
  assert.equal(read('zone').trim(), challengeValue(task));
});

test('a value that never appears is a failure that names the server, and cleanup is called', async (t) => {
  const { solver, read } = await made(t, 'exit 0', {}, SECOND);
  await assert.rejects(solver.present(challengeTask('www.lab.test'), soon()), (error) =>
    /did not reach every name server: _acme-challenge\.www\.lab\.test: after 1s lack it: 127\.0\.0\.1:\d+ does not have/.test(
      describeError(error),
    ),
  );
  assert.match(read('calls'), /^present .*\ncleanup .*\n$/);
});

test('a program that fails is told with its exit code and the end of what it wrote, and cleanup is called', async (t) => {
  const one = await made(t, 'seq 1 5000; echo "zone not found" >&2; exit 3');
  const line = await refusal(one);
  assert.match(
    line,
    /present _acme-challenge\.www\.lab\.test: it ended with exit code 3 and wrote last: "….*4999 5000 zone not found"; run it by hand/,
  );
  assert.ok(line.length < 1000, line);
  assert.match(one.read('calls'), /^present .*\ncleanup .*\n$/);
  assert.deepEqual(
    one.log.lines.map(({ level, message }) => `${level}: ${message}`),
    ['warn: the record of a challenge may be left behind'],
  );
});

test('what looks like a secret in its words is left out of the error', async (t) => {
  const words = [
    'Authorization: Bearer hunter2',
    'curl -H "X-Auth-Key: hunter2" https://api/?api_key=hunter2&x=1',
    '{"token": "hunter2", "secret":"hunter2"}',
    'CF_Token=hunter2',
    '-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----',
  ];
  const line = await refusal(await made(t, `cat <<'END'\n${words.join('\n')}\nno such zone\nEND\nexit 1`));
  assert.ok(!line.includes('hunter2') && line.includes('no such zone'), line);
  const cut = await refusal(await made(t, `yes hunter2 | head -c 9000\necho -----END EC PRIVATE KEY-----; exit 1`));
  assert.ok(!cut.includes('hunter2'), cut);
});

test('a program that is missing, may not be executed or has no interpreter is told', async (t) => {
  const one = await made(t, 'exit 0');
  chmodSync(one.exec, 0o644);
  assert.match(await refusal(one), /it cannot be started \(EACCES\); see that it exists/);
  writeFileSync(one.exec, '#!/no/such/interpreter\n', { mode: 0o755 });
  chmodSync(one.exec, 0o755);
  assert.match(await refusal(one), /it cannot be started \(ENOENT\)/);
});

test('a program that hangs is ended after the time-out with all that it started, and cleanup has a time of its own', async (t) => {
  const body = '[ $1 = cleanup ] && exit 0; trap "" TERM; sleep 60 & echo $! > $DIR/child; echo $$ > $DIR/self; wait; sleep 60';
  const one = await made(t, body, { timeoutMs: 500 });
  assert.match(await refusal(one), /it was ended after 0\.5 s and wrote nothing/);
  assert.match(one.read('calls'), /\ncleanup /);
  for (const file of ['self', 'child']) {
    const stat = `/proc/${one.read(file).trim()}/stat`;
    for (let tries = 0; tries < 100 && existsSync(stat) && !readFileSync(stat, 'utf8').includes(') Z '); tries++)
      await systemClock.sleep(50);
    assert.ok(!existsSync(stat) || readFileSync(stat, 'utf8').includes(') Z '), file);
  }
});

test('an aborted order ends the program, gives its own reason, and cleans up', async (t) => {
  const one = await made(t, '[ $1 = cleanup ] && exit 0; echo $$ > $DIR/self; exec sleep 60');
  const ending = new AbortController();
  const presented = one.solver.present(challengeTask('www.lab.test'), ending.signal);
  while (!one.has('self')) await systemClock.sleep(10);
  ending.abort(new Error('the service ends'));
  await assert.rejects(presented, /the service ends/);
  assert.match(one.read('calls'), /^present .*\ncleanup .*\n$/);
});

test('a program that hangs does not keep a service from stopping, and is not called for answers that it never gave', async (t) => {
  const one = await made(t, 'trap "" TERM; echo $$ >> $DIR/self; sleep 60; sleep 60');
  const ending = new AbortController();
  const presented = ['a', 'b', 'c'].map((host) => one.solver.present(challengeTask(`${host}.lab.test`), ending.signal));
  while (!one.has('self')) await systemClock.sleep(10);
  const before = performance.now();
  ending.abort(new Error('the service ends'));
  for (const { status } of await Promise.allSettled(presented)) assert.equal(status, 'rejected');
  assert.ok(performance.now() - before < 4500, `${performance.now() - before} ms`);
  assert.match(one.read('calls'), /^present \S*a\.lab\.test .*\ncleanup \S*a\.lab\.test .*\n$/);
  assert.match(JSON.stringify(one.log.lines), /may be left behind/);
});

test('it gets no secrets from the environment and nothing to read, and its own environment reaches it', async (t) => {
  const body = 'cat > $DIR/input; env > $DIR/env; STORE';
  const env = { PATH: process.env['PATH'], HOME: '/home/me', CF_TOKEN: 'hunter2', SSL_CERT_FILE: '/x' };
  const { solver, read } = await made(t, body, { env });
  await solver.present(challengeTask('www.lab.test'), soon());
  assert.equal(read('input'), '');
  assert.match(read('env'), /^HOME=\/home\/me$/m);
  assert.doesNotMatch(read('env'), /hunter2|SSL_CERT_FILE/);
});

test('many answers at once call it one after the other, and stand together', async (t) => {
  const { solver, read, has } = await made(t, 'mkdir $DIR/busy || touch $DIR/clash; STORE; sleep 0.05; rmdir $DIR/busy', {}, 10 * SECOND);
  const tasks = Array.from({ length: 10 }, () => challengeTask('www.lab.test'));
  await Promise.all(tasks.map((task) => solver.present(task, soon())));
  assert.deepEqual(read('zone').trim().split('\n').sort(), tasks.map(challengeValue).sort());
  await Promise.all(tasks.map((task) => solver.cleanup(task)));
  assert.ok(!has('clash'));
});

test('an address is refused before the program is called', async (t) => {
  const one = await made(t, 'STORE');
  await assert.rejects(one.solver.present(challengeTask('192.0.2.1'), soon()), (error) =>
    /by dns-01: 192\.0\.2\.1/.test(describeError(error)),
  );
  assert.ok(!one.has('calls'));
});
