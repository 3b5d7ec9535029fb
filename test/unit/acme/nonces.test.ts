import assert from 'node:assert/strict';
import test from 'node:test';

import { createNonces } from '../../../src/acme/nonces.ts';
import { AcmeProblem } from '../../../src/acme/problem.ts';
import { assertFault, clientOf, never, problemOf, signatory } from '../../support/acme-client.ts';
import { acmeServer, problem, type AcmeServer } from '../../support/acme-server.ts';

const VALID = { json: { status: 'valid' } };
const MINUTE = 60_000;

function headsOf(server: AcmeServer): number {
  return server.received.filter(({ method }) => method === 'HEAD').length;
}

test('the youngest nonce is taken first, each once, and none that is five minutes old', () => {
  let now = 0;
  const nonces = createNonces(() => now);
  assert.equal(nonces.take(), undefined);
  nonces.keep('a');
  now += 3 * MINUTE;
  nonces.keep('b');
  assert.equal(nonces.take(), 'b');
  now += MINUTE;
  nonces.keep('c');
  now += MINUTE;
  assert.equal(nonces.take(), 'c');
  assert.equal(nonces.take(), undefined);
  nonces.keep('d');
  assert.equal(nonces.take(), 'd');
});

test('the pool stays small, and what is no nonce by RFC 8555 §6.5.1 is not kept', () => {
  const nonces = createNonces(() => 0);
  for (let count = 0; count < 1000; count += 1) nonces.keep(`n${count}`);
  const taken: string[] = [];
  for (let nonce = nonces.take(); nonce !== undefined; nonce = nonces.take()) taken.push(nonce);
  assert.equal(taken.length, 64);
  assert.equal(taken[0], 'n999');
  for (const bad of ['', 'a b', 'a"', 'a+b', 'a=', 'é', 'x'.repeat(2000)]) nonces.keep(bad);
  nonces.keep(undefined);
  assert.equal(nonces.take(), undefined);
});

test('a nonce that comes with an error answer, or with the directory, is used for the next request', async (t) => {
  const server = await acmeServer(t);
  server.on('/dir', { json: await clientOf(t, server).directory(never) });
  const client = clientOf(t, server);
  const by = signatory(server);
  server.on('/account/1', problem('unauthorized', 403), { status: 500 }, VALID);
  await problemOf(client.account(by, never));
  await problemOf(client.account(by, never));
  await client.account(by, never);
  assert.equal(headsOf(server), 0);
});

test('a refused nonce is replaced by the one that came with the refusal, and the request is signed anew', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  server.on('/account/1', ...Array.from({ length: 29 }, () => problem('badNonce')), VALID);
  assert.equal((await client.account(signatory(server), never)).status, 'valid');
  const posts = server.posts();
  assert.equal(posts.length, 30);
  assert.equal(headsOf(server), 1);
  assert.equal(new Set(posts.map((one) => one.protected['nonce'])).size, 30);
  assert.equal(new Set(posts.map(({ body }) => body)).size, 30);
});

test('a nonce is asked for where a refusal brings none', async (t) => {
  const server = await acmeServer(t);
  server.on('/account/1', { ...problem('badNonce'), withoutNonce: true }, VALID);
  assert.equal((await clientOf(t, server).account(signatory(server), never)).status, 'valid');
  assert.equal(headsOf(server), 2);
});

test('after thirty-one refusals the fault is nonce, and the server gets no further request', async (t) => {
  const server = await acmeServer(t);
  server.on('/account/1', problem('badNonce'));
  const error = await assertFault(clientOf(t, server).account(signatory(server), never), 'nonce', /31 nonces were refused in a row/);
  assert.ok(error.cause instanceof AcmeProblem);
  assert.equal(server.posts().length, 31);
});

test('all tries share the time of one request', async (t) => {
  const server = await acmeServer(t);
  server.misbehave('/account/1', (response) => {
    const { headers, json } = problem('badNonce');
    setTimeout(
      () => response.writeHead(400, { ...headers, 'replay-nonce': 'abc' } as Record<string, string>).end(JSON.stringify(json)),
      100,
    );
  });
  const work = clientOf(t, server, { timeoutMs: 350 }).account(signatory(server), never);
  await assertFault(work, 'nonce', /no whole answer within 0\.35 s, after [1-3] refused nonces/);
  assert.ok(server.posts().length <= 4);
});

test('a newNonce without a nonce is said to be one; a refused newNonce is the problem that it is', async (t) => {
  const server = await acmeServer(t);
  server.on('/newNonce', { withoutNonce: true });
  await assertFault(clientOf(t, server).account(signatory(server), never), 'nonce', /HEAD .*\/newNonce: the answer has no Replay-Nonce/);
  server.on('/newNonce', { status: 503, headers: { 'retry-after': '7' } });
  const refused = await problemOf(clientOf(t, server).account(signatory(server), never));
  assert.deepEqual([refused.status, refused.type, refused.retryAfter], [503, '', 7000]);
});
