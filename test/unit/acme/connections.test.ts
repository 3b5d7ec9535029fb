import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import test from 'node:test';

import { assertFault, clientOf, failureOf, never, signatory } from '../../support/acme-client.ts';
import { acmeServer, problem, type AcmeServer } from '../../support/acme-server.ts';
import { pause } from '../../support/acme-ordering.ts';

const VALID = { json: { status: 'valid' } };

function requests(server: AcmeServer): string[] {
  return server.received.map(({ method, path }) => `${method} ${path}`);
}

function order(server: AcmeServer): Readonly<Record<string, unknown>> {
  return { status: 'pending', identifiers: [], authorizations: [], finalize: server.url('/finalize') };
}

test('one connection and one nonce serve a whole conversation, and every request says who asks', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  const by = signatory(server);
  server.on('/account/1', VALID);
  for (let count = 0; count < 5; count += 1) await client.account(by, never);
  assert.deepEqual(requests(server), ['GET /dir', 'HEAD /newNonce', ...Array<string>(5).fill('POST /account/1')]);
  assert.equal(server.connections.count, 1);
  for (const { headers } of server.received) {
    assert.equal(headers['user-agent'], 'podserve-test/1');
    assert.equal(headers['accept-language'], 'en');
  }
  for (const { headers } of server.posts()) assert.equal(headers['content-type'], 'application/jose+json');
});

test('a hundred requests at once share few connections, use each nonce once, and leave no listener behind', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  const by = signatory(server);
  server.on('/account/1', VALID);
  const controller = new AbortController();
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  await Promise.all(Array.from({ length: 100 }, () => client.account(by, controller.signal)));
  const nonces = server.posts().map((one) => one.protected['nonce']);
  assert.equal(nonces.length, 100);
  assert.equal(new Set(nonces).size, 100);
  assert.ok(server.connections.count <= 32, String(server.connections.count));
  assert.equal(server.received.filter(({ path }) => path === '/dir').length, 1);
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  await pause(1);
  assert.deepEqual(warnings, []);
});

test('a further connection resumes the TLS session of the first', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  server.on('/account/1', VALID);
  const by = signatory(server);
  await client.account(by, never);
  server.cutAll();
  await pause(20);
  await client.account(by, never);
  assert.deepEqual(server.connections, { count: 2, resumed: 1 });
});

test('a question that a kept connection swallowed is asked again on a new one, with the same signature', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  const by = signatory(server);
  server.on('/order/1', { json: order(server) });
  await client.order(by, server.url('/order/1'), never);
  let cut = 0;
  server.onRequest('/order/1', (seen) => {
    cut += 1;
    if (cut === 1) server.cutAll();
    assert.equal(seen.payload, '');
    return { json: order(server) };
  });
  assert.equal((await client.order(by, server.url('/order/1'), never)).value.status, 'pending');
  const [, swallowed, again] = server.posts('/order/1');
  assert.equal(again?.body, swallowed?.body);
  assert.equal(server.connections.count, 2);
});

test('the second try goes over a new connection, not over another one that was idle as long', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  const by = signatory(server);
  const old = new Set<unknown>();
  server.misbehave('/account/1', (response) => {
    old.add(response.socket);
    setTimeout(() => response.writeHead(200, { 'content-type': 'application/json', 'replay-nonce': 'abc' }).end('{"status":"valid"}'), 20);
  });
  await Promise.all([client.account(by, never), client.account(by, never)]);
  assert.equal(old.size, 2);
  server.misbehave('/account/1', (response) => {
    if (old.has(response.socket)) response.socket?.destroy();
    else response.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"valid"}');
  });
  assert.equal((await client.account(by, never)).status, 'valid');
});

test('a request with an effect that was swallowed is done once: the server that took it refuses the nonce, and we say that we do not know', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  const by = signatory(server);
  const used = new Set<unknown>();
  let made = 0;
  server.onRequest('/newOrder', (seen) => {
    if (used.has(seen.protected['nonce'])) return problem('badNonce');
    used.add(seen.protected['nonce']);
    made += 1;
    server.cutAll();
    return { status: 201, json: order(server), headers: { location: '/order/1' } };
  });
  await client.directory(never);
  await assertFault(client.newOrder(by, { identifiers: [] }, never), 'connect', /POST .*\/newOrder: .* is not known/);
  assert.equal(made, 1);
  assert.equal(server.posts('/newOrder').length, 2);
});

test('an account request that was swallowed is signed anew when its nonce is refused: doing it twice does no harm', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  await client.directory(never);
  server.onRequest('/account/1', () => {
    const seen = server.posts('/account/1').length;
    if (seen === 1) server.cutAll();
    return seen === 2 ? problem('badNonce') : VALID;
  });
  assert.equal((await client.account(signatory(server), never)).status, 'valid');
  assert.equal(server.posts('/account/1').length, 3);
});

test('a server that swallows everything is given up after the second time', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  await client.directory(never);
  server.misbehave('/account/1', (response) => response.socket?.destroy());
  await assertFault(client.account(signatory(server), never), 'connect', /the connection ended before the answer/);
  assert.equal(server.posts('/account/1').length, 2);
});

test('a new connection that ends before the answer is not tried again', async (t) => {
  const server = await acmeServer(t);
  server.misbehave('/dir', (response) => response.socket?.destroy());
  await assertFault(clientOf(t, server).directory(never), 'connect', /GET .*\/dir: the connection ended before the answer/);
  assert.equal(server.received.length, 1);
});

test('a closed client holds no connection, ends what is under way and begins nothing', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  await client.directory(never);
  server.misbehave('/account/1', () => undefined);
  const waiting = failureOf(client.account(signatory(server), never));
  await pause(20);
  await client[Symbol.asyncDispose]();
  assert.match(String(await waiting), /the connection ended before the answer/);
  await assertFault(client.account(signatory(server), never), 'connect', /closed/);
});

test('a signal that aborts ends the wait at once, with its own reason, wherever the request stands', async (t) => {
  const reason = new Error('shutting down');
  const unasked = await acmeServer(t);
  assert.equal(await failureOf(clientOf(t, unasked).account(signatory(unasked), AbortSignal.abort(reason))), reason);
  assert.equal(unasked.received.length, 0);
  const places: Readonly<Record<string, (server: AcmeServer) => void>> = {
    directory: (server) => server.misbehave('/dir', () => undefined),
    nonce: (server) => server.misbehave('/newNonce', () => undefined),
    answer: (server) => server.misbehave('/account/1', () => undefined),
    body: (server) =>
      server.misbehave('/account/1', (response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 });
        response.write('{');
      }),
  };
  for (const [place, hang] of Object.entries(places)) {
    const server = await acmeServer(t);
    hang(server);
    const controller = new AbortController();
    const began = performance.now();
    const work = failureOf(clientOf(t, server).account(signatory(server), controller.signal));
    setTimeout(() => controller.abort(reason), 50);
    assert.equal(await work, reason, place);
    assert.ok(performance.now() - began < 1000, place);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0, place);
  }
});
