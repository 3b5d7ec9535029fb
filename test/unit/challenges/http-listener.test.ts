import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingHttpHeaders } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';

import { openSolver } from '../../../src/challenges/open.ts';
import type { ChallengeSolver } from '../../../src/challenges/solver.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { describeError, systemCode } from '../../../src/platform/errors.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { challengeTask, soon } from '../../support/challenge-tasks.ts';
import { freePort } from '../../support/scratch.ts';

const PATH = '/.well-known/acme-challenge/';

function opened(listen: string): Promise<ChallengeSolver> {
  const surroundings = { challengesDirectory: '/nonexistent', resolvers: [], clock: systemClock, log: silentLog };
  return openSolver({ type: 'http-01', via: 'listen', listen }, surroundings);
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

async function ask(port: number, path: string, { method = 'GET', host = '127.0.0.1' } = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const asking = request({ host, port, path, method, agent: false }, (response) => {
    let text = '';
    response.on('data', (data: Buffer) => (text += data.toString()));
    response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
  });
  asking.once('error', reject);
  asking.end();
  return promise;
}

async function isClosed(port: number): Promise<boolean> {
  const outcome = await ask(port, '/').catch((error: unknown) => systemCode(error));
  return outcome === 'ECONNREFUSED';
}

test('the answer is there over IPv4 and IPv6 for exactly its path, and the port is closed before and after', async () => {
  const port = await freePort();
  const task = challengeTask();
  await using solver = await opened(`[::]:${port}`);
  assert.ok(await isClosed(port));
  await solver.present(task, soon());
  for (const host of ['127.0.0.1', '::1']) {
    const { status, headers, text } = await ask(port, `${PATH}${task.token}`, { host });
    assert.deepEqual([status, text, headers['content-type'], headers.connection], [200, task.keyAuthorization, 'text/plain', 'close']);
  }
  const head = await ask(port, `${PATH}${task.token}`, { method: 'HEAD' });
  assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', String(task.keyAuthorization.length)]);
  await solver.cleanup(task);
  assert.ok(await isClosed(port));
});

test('nothing else is answered', async () => {
  const port = await freePort();
  const task = challengeTask();
  await using solver = await opened(`127.0.0.1:${port}`);
  await solver.present(task, soon());
  const wrong = [
    `${PATH.replace('acme', 'emca')}${task.token}`,
    '/',
    PATH,
    `${PATH}other`,
    `/${task.token}`,
    `${PATH}${task.token}/`,
    `${PATH}../${task.token}`,
    `/x${PATH}${task.token}`,
  ];
  for (const path of wrong) {
    const { status, text } = await ask(port, path);
    assert.deepEqual([status, text], [404, ''], path);
  }
  const post = await ask(port, `${PATH}${task.token}`, { method: 'POST' });
  assert.deepEqual([post.status, post.headers.allow, post.text], [405, 'GET, HEAD', '']);
});

test('many orders share the port, and it closes with the last', async () => {
  const port = await freePort();
  const tasks = Array.from({ length: 50 }, () => challengeTask());
  await using solver = await opened(`127.0.0.1:${port}`);
  await Promise.all(tasks.map((task) => solver.present(task, soon())));
  const answers = await Promise.all(tasks.map((task) => ask(port, `${PATH}${task.token}`)));
  assert.deepEqual(
    answers.map(({ text }) => text),
    tasks.map(({ keyAuthorization }) => keyAuthorization),
  );
  const [last, ...others] = tasks;
  await Promise.all(others.map((task) => solver.cleanup(task)));
  assert.ok(last !== undefined);
  assert.equal((await ask(port, `${PATH}${last.token}`)).status, 200);
  assert.equal((await ask(port, `${PATH}${others[0]?.token}`)).status, 404);
  await solver.cleanup(last);
  await solver.cleanup(last);
  assert.ok(await isClosed(port));
  await solver.present(last, soon());
  assert.equal((await ask(port, `${PATH}${last.token}`)).status, 200);
});

test('two orders that share a token keep its answer until both are done', async () => {
  const port = await freePort();
  const task = challengeTask();
  await using solver = await opened(`127.0.0.1:${port}`);
  await Promise.all([solver.present(task, soon()), solver.present({ ...task }, soon())]);
  await solver.cleanup(task);
  assert.equal((await ask(port, `${PATH}${task.token}`)).text, task.keyAuthorization);
  await solver.cleanup(task);
  assert.ok(await isClosed(port));
});

test('a taken port is one line that names who has it and what to do, and the next order tries again', async (t) => {
  const other = createServer();
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const { port } = other.address() as { port: number };
  await using solver = await opened(`127.0.0.1:${port}`);
  const task = challengeTask();
  await assert.rejects(solver.present(task, soon()), (error) => {
    const line = describeError(error);
    assert.match(
      line,
      new RegExp(`^the listener for http-01 cannot be opened: 127\\.0\\.0\\.1:${port}: port ${port} is taken: .*process ${process.pid}`),
    );
    assert.match(line, /; stop it, or leave http01 out of the issuer: the tokens then lie in the challenges volume/);
    return true;
  });
  await solver.cleanup(task);
  other.close();
  await once(other, 'close');
  await solver.present(task, soon());
  assert.equal((await ask(port, `${PATH}${task.token}`)).text, task.keyAuthorization);
});

test('an aborted order leaves no port open', async () => {
  const port = await freePort();
  await using solver = await opened(`127.0.0.1:${port}`);
  await assert.rejects(solver.present(challengeTask(), AbortSignal.abort(new Error('stopped'))), /stopped/);
  const abort = new AbortController();
  const presented = solver.present(challengeTask(), abort.signal);
  abort.abort(new Error('stopped'));
  await assert.rejects(presented, /stopped/);
  assert.ok(await isClosed(port));
});

/** A connection that says `text` and then nothing; resolves when the server ends it. */
function silent(port: number, text: string): { readonly socket: Socket; readonly ended: Promise<unknown> } {
  const socket = connect(port, '127.0.0.1', () => socket.write(text));
  socket.on('error', () => undefined);
  socket.resume();
  return { socket, ended: once(socket, 'close') };
}

test('clients that hang hold up neither the answer nor the closing', async () => {
  const port = await freePort();
  const task = challengeTask();
  await using solver = await opened(`127.0.0.1:${port}`);
  await solver.present(task, soon());
  const hanging = ['', 'GET', `GET ${PATH}${task.token} HTTP/1.1\r\nX-Slow: `].flatMap((text) =>
    Array.from({ length: 100 }, () => silent(port, text)),
  );
  for (const { socket } of hanging) if (socket.connecting) await once(socket, 'connect');
  assert.equal((await ask(port, `${PATH}${task.token}`)).text, task.keyAuthorization);
  const started = Date.now();
  await solver.cleanup(task);
  assert.ok(Date.now() - started < 1000, 'closing waited for clients');
  await Promise.all(hanging.map(({ ended }) => ended));
  assert.ok(await isClosed(port));
});

test('a client that dawdles over its request, or sends a huge one, is cut off', async (t) => {
  const port = await freePort();
  await using solver = await opened(`127.0.0.1:${port}`);
  await solver.present(challengeTask(), soon());
  const huge = silent(port, `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
  await huge.ended;
  const slow = silent(port, 'GET / HTTP/1.1\r\n');
  await once(slow.socket, 'connect');
  const started = Date.now();
  const drip = setInterval(() => slow.socket.write('X'), 100);
  t.after(() => clearInterval(drip));
  await slow.ended;
  assert.ok(Date.now() - started > 1000, 'it was cut off for another reason');
  assert.ok(Date.now() - started < 8000, 'a dripping request was listened to for too long');
});
