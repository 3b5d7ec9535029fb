import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:tls';
import test from 'node:test';

import { openAcmeClient } from '../../../src/acme/open.ts';
import { assertFault, clientOf, failureOf, never, signatory } from '../../support/acme-client.ts';
import { pause } from '../../support/acme-ordering.ts';
import { acmeServer, type AcmeServer, type Reply } from '../../support/acme-server.ts';
import { faultServer, listenUntilEnd } from '../../support/fault-server.ts';
import { opensslCa } from '../../support/openssl-ca.ts';
import { freePort, scratchDirectory } from '../../support/scratch.ts';

const KIB = 1024;
const CHAIN: Reply['headers'] = { 'content-type': 'application/pem-certificate-chain' };

function at(port: number): { directory: string; caPem: string } {
  return { directory: `https://127.0.0.1:${port}/dir`, caPem: '' };
}

test('dns: a host without address', async (t) => {
  const client = openAcmeClient({ directory: 'https://acme.invalid/dir', userAgent: 'test' });
  t.after(() => client[Symbol.asyncDispose]());
  await assertFault(client.directory(never), 'dns', /^GET https:\/\/acme\.invalid\/dir: the name acme\.invalid has no address/);
});

test('connect: nobody listens', async (t) => {
  await assertFault(clientOf(t, at(await freePort())).directory(never), 'connect', /no connection to 127\.0\.0\.1:\d+ \(.*ECONNREFUSED/);
});

test('tls: a certificate that is not trusted, one for another name, no handshake, and roots that are none', async (t) => {
  const server = await acmeServer(t);
  const other = await opensslCa(scratchDirectory(t), 'Another');
  const trusting = { ...server, caPem: readFileSync(other.rootFile, 'utf8') };
  const untrusted = await assertFault(
    clientOf(t, trusting).directory(never),
    'tls',
    /no trusted TLS connection to 127\.0\.0\.1.*certificate/,
  );
  assert.ok(untrusted.cause instanceof Error);

  const made = await other.leaf('elsewhere', { names: ['elsewhere.lab.test'] });
  const elsewhere = createServer({ cert: readFileSync(made.fullchainFile), key: readFileSync(made.keyFile) });
  const port = await listenUntilEnd(t, elsewhere);
  await assertFault(clientOf(t, { ...at(port), caPem: trusting.caPem }).directory(never), 'tls', /IP: 127\.0\.0\.1 is not in the cert/);

  const plain = await faultServer(t, (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await assertFault(
    clientOf(t, at(plain)).directory(never),
    'malformed',
    /127\.0\.0\.1:\d+ does not speak HTTPS: what answers there is no TLS$/,
  );
  const closing = await faultServer(t, (socket) => void socket.once('data', () => socket.destroy()));
  await assertFault(clientOf(t, at(closing)).directory(never), 'tls', /no trusted TLS connection/);
  const broken = { ...server, caPem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' };
  await assertFault(clientOf(t, broken).directory(never), 'tls', /./);
});

test('timeout: silence, a body that trickles, and a handshake that never ends, each within the time for the whole request', async (t) => {
  const server = await acmeServer(t);
  const mute = await faultServer(t, () => undefined);
  const places: Readonly<Record<string, (server: AcmeServer) => void>> = {
    silence: () => server.misbehave('/dir', () => undefined),
    trickle: () =>
      server.misbehave('/dir', (response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const timer = setInterval(() => response.write(' '), 20);
        response.once('close', () => clearInterval(timer));
      }),
  };
  for (const prepare of Object.values(places)) {
    prepare(server);
    const began = performance.now();
    await assertFault(clientOf(t, server, { timeoutMs: 200 }).directory(never), 'timeout', /GET .*: no whole answer within 0\.2 s$/);
    const took = performance.now() - began;
    assert.ok(took >= 190 && took < 1000, String(took));
  }
  await assertFault(clientOf(t, { ...at(mute) }, { timeoutMs: 200 }).directory(never), 'timeout', /no whole answer/);
});

test('cut: an answer that ends within its headers or within its body', async (t) => {
  const server = await acmeServer(t);
  for (const part of [
    'HTTP/1.1 200 OK\r\nContent-Ty',
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"a":',
  ]) {
    server.misbehave('/dir', (response) => void response.socket?.end(part));
    await assertFault(clientOf(t, server).directory(never), 'cut', /the connection ended within the answer/);
  }
  const kept = await acmeServer(t);
  const client = clientOf(t, kept);
  await client.directory(never);
  kept.misbehave('/account/1', (response) => void response.socket?.end('HTTP/1.1 200 OK\r\nContent-Ty'));
  await assertFault(client.account(signatory(kept), never), 'cut', /the connection ended within the answer/);
  assert.equal(kept.posts().length, 1);
});

test('too-large: JSON beyond 256 KiB, a chain beyond 1 MiB and headers beyond 16 KiB; what is just within them is taken', async (t) => {
  const server = await acmeServer(t);
  const by = signatory(server);
  const client = clientOf(t, server);
  server.on('/account/1', { json: { status: 'valid', padding: 'x'.repeat(255 * KIB) } });
  await client.account(by, never);
  server.on('/account/1', { json: { status: 'valid', padding: 'x'.repeat(256 * KIB) } });
  await assertFault(client.account(by, never), 'too-large', /longer than 256 KiB/);
  const block = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  server.on('/chain', { headers: CHAIN, text: block + '\n'.repeat(1023 * KIB) });
  assert.equal((await client.download(by, server.url('/chain'), never)).pem.length, block.length + 1023 * KIB);
  server.on('/chain', { headers: CHAIN, text: block + '\n'.repeat(1024 * KIB) });
  await assertFault(client.download(by, server.url('/chain'), never), 'too-large', /longer than 1024 KiB/);
  server.on('/account/1', { json: {}, headers: { 'x-long': 'x'.repeat(20 * KIB) } });
  await assertFault(client.account(by, never), 'too-large', /headers/);
});

test('too-large: an endless body is left as soon as it is too long', async (t) => {
  const server = await acmeServer(t);
  let closed = false;
  server.misbehave('/dir', (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(16 * KIB)));
    };
    response.on('drain', more);
    response.once('close', () => (closed = true));
    more();
  });
  await assertFault(clientOf(t, server).directory(never), 'too-large', /longer than 256 KiB/);
  await pause(50);
  assert.ok(closed);
});

test('content-type: what is no JSON, or no chain, by its own account', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  server.on('/account/1', { text: '<html>', headers: { 'content-type': 'text/html; charset=utf-8' } });
  await assertFault(client.account(signatory(server), never), 'content-type', /the answer is text\/html instead of application\/json/);
  server.on('/account/1', { text: '{"status":"valid"}' });
  await assertFault(client.account(signatory(server), never), 'content-type', /without a content type/);
  server.on('/account/1', { json: { status: 'valid' }, headers: { 'content-type': 'Application/JSON ; charset="utf-8"' } });
  assert.equal((await client.account(signatory(server), never)).status, 'valid');
  server.on('/chain', { json: {} });
  await assertFault(client.download(signatory(server), server.url('/chain'), never), 'content-type', /pem-certificate-chain/);
});

test('malformed: no HTTP, no JSON, JSON of another shape, and a URL that is not https', async (t) => {
  const server = await acmeServer(t);
  await assertFault(clientOf(t, server).order(signatory(server), 'not a URL', never), 'malformed', /no https URL/);
  server.misbehave('/dir', (response) => void response.socket?.end('220 mail.lab.test ESMTP\r\n'));
  await assertFault(clientOf(t, server).directory(never), 'malformed', /is not HTTP/);
  for (const text of ['{"newNonce":', '[]', 'null', '"text"', '']) {
    server.on('/dir', { text, headers: { 'content-type': 'application/json' } });
    await assertFault(clientOf(t, server).directory(never), 'malformed', /is no JSON object/);
  }
  await assertFault(clientOf(t, { ...server, directory: 'http://127.0.0.1/dir' }).directory(never), 'malformed', /no https URL/);
});

test('redirect: a directory may move three times within its host; other requests never', async (t) => {
  const server = await acmeServer(t);
  const client = clientOf(t, server);
  const move = (from: string, location: string, status = 302): void => server.on(from, { status, headers: { location } });
  const { newNonce } = await client.directory(never);
  const moved = (): ReturnType<typeof clientOf> => clientOf(t, { ...server, directory: server.url('/a') });
  move('/a', '/b', 301);
  move('/b', server.url('/c'), 307);
  move('/c', '/dir', 308);
  assert.equal((await moved().directory(never)).newNonce, newNonce);
  move('/c', '/d');
  move('/d', '/dir');
  await assertFault(moved().directory(never), 'redirect', /more than 3 redirects/);
  move('/a', '/a');
  await assertFault(moved().directory(never), 'redirect', /more than 3 redirects/);
  move('/a', server.directory.replace('https', 'http'));
  await assertFault(moved().directory(never), 'redirect', /not https/);
  move('/a', `https://localhost:${new URL(server.directory).port}/dir`);
  await assertFault(moved().directory(never), 'redirect', /another host \(localhost/);
  server.on('/a', { status: 302 });
  await assertFault(moved().directory(never), 'redirect', /to nowhere/);
  move('/account/1', '/dir', 307);
  await assertFault(client.account(signatory(server), never), 'redirect', /the redirect 307/);
  assert.equal(server.posts().length, 1);
});

test('a URL in an error has no query: it may hold what nobody else should see', async (t) => {
  const server = await acmeServer(t);
  const error = await failureOf(clientOf(t, server).order(signatory(server), server.url('/order?secret=1#x'), never));
  assert.match(String(error), /\/order\?…: status 404/);
  assert.doesNotMatch(String(error), /secret/);
});
