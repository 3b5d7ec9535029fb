import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, test, type TestContext } from 'node:test';
import { createServer, type Server } from 'node:tls';

import { leafSha256 } from '../../src/certificate/bundle.ts';
import { parseEndpoint, type Endpoint } from '../../src/delivery/endpoint.ts';
import { verifyServed } from '../../src/delivery/verify.ts';
import { describeError } from '../../src/platform/errors.ts';
import { faultServer, listenUntilEnd } from '../support/fault-server.ts';
import { opensslCa, type MadeCertificate } from '../support/openssl-ca.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

let oldOne: MadeCertificate;
let newOne: MadeCertificate;
const cleanups: (() => void)[] = [];

before(async () => {
  const ca = await opensslCa(scratchDirectory({ after: (work) => cleanups.push(work as () => void) }));
  [oldOne, newOne] = [await ca.leaf('old', { names: ['127.0.0.1'] }), await ca.leaf('new', { names: ['127.0.0.1'] })];
});
after(() => {
  for (const cleanup of cleanups) cleanup();
});

function pair(made: MadeCertificate): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(made.fullchainFile), key: readFileSync(made.keyFile) };
}

function fingerprint(made: MadeCertificate): string {
  return leafSha256(new X509Certificate(readFileSync(made.certificateFile)));
}

/** A TLS server that shows, at its n-th handshake, what `shows(n)` says. */
async function serving(t: TestContext, shows: (handshake: number) => MadeCertificate): Promise<{ endpoint: Endpoint; server: Server }> {
  const server = createServer(pair(shows(0)));
  let handshakes = 0;
  server.prependListener('connection', () => server.setSecureContext(pair(shows(handshakes++))));
  server.on('secureConnection', (socket) => socket.on('error', () => undefined));
  return { endpoint: parseEndpoint(`https://127.0.0.1:${await listenUntilEnd(t, server)}`), server };
}

test('what is served is confirmed within milliseconds, after three right answers', async (t) => {
  const { endpoint } = await serving(t, () => newOne);
  const [result] = await verifyServed([{ endpoint, servername: undefined, leafSha256: fingerprint(newOne) }]);
  assert.ok(result?.served && result.attempts === 3 && result.failure === undefined);
  assert.ok(result.afterMs < 1000);
});

test('an old process that still answers for a while is waited for', async (t) => {
  const { endpoint } = await serving(t, (handshake) => (handshake < 4 ? oldOne : newOne));
  const [result] = await verifyServed([{ endpoint, servername: undefined, leafSha256: fingerprint(newOne) }]);
  assert.ok(result?.served && result.attempts === 7, JSON.stringify(result));
});

test('a right answer between wrong ones is no proof', async (t) => {
  const { endpoint } = await serving(t, (handshake) => (handshake % 3 === 2 ? oldOne : newOne));
  const [result] = await verifyServed([{ endpoint, servername: undefined, leafSha256: fingerprint(newOne) }], { deadlineMs: 200 });
  assert.equal(result?.served, false);
  assert.equal(result?.saw, fingerprint(oldOne));
});

test('what stays wrong is judged at the deadline, with both fingerprints', async (t) => {
  const { endpoint } = await serving(t, () => oldOne);
  const [result] = await verifyServed([{ endpoint, servername: undefined, leafSha256: fingerprint(newOne) }], { deadlineMs: 150 });
  assert.ok(result !== undefined && !result.served && result.afterMs >= 150 && result.attempts > 3);
  const line = describeError(result.failure);
  assert.ok(line.includes(fingerprint(oldOne)) && line.includes(fingerprint(newOne)) && line.includes('step fingerprint'), line);
});

test('a daemon that is down and comes back within the deadline counts as served', async (t) => {
  const port = await freePort();
  const server = createServer(pair(newOne));
  t.after(() => server.close());
  setTimeout(() => server.listen(port, '127.0.0.1'), 100);
  const endpoint = parseEndpoint(`https://127.0.0.1:${port}`);
  const [result] = await verifyServed([{ endpoint, servername: undefined, leafSha256: fingerprint(newOne) }]);
  assert.ok(result?.served && result.afterMs >= 90, JSON.stringify(result));
});

test('targets are asked in parallel and answered in order; one that is down delays no other', async (t) => {
  const { endpoint } = await serving(t, () => newOne);
  const leaf = fingerprint(newOne);
  const silent = parseEndpoint(`https://127.0.0.1:${await faultServer(t, () => undefined)}`);
  const refused = parseEndpoint(`https://127.0.0.1:${await freePort()}`);
  const good = Array.from({ length: 40 }, () => ({ endpoint, servername: undefined, leafSha256: leaf }));
  const targets = [{ ...good[0]!, endpoint: silent }, { ...good[0]!, endpoint: refused }, ...good];
  const results = await verifyServed(targets, { deadlineMs: 300 });
  assert.deepEqual(
    results.map(({ served }) => served),
    [false, false, ...good.map(() => true)],
  );
  assert.deepEqual(
    results.map(({ failure }) => failure?.step),
    ['handshake', 'tcp', ...good.map(() => undefined)],
  );
});

test('a daemon that answers later than usual is heard to the end, one that is wrong is judged as soon as ever', async (t) => {
  const server = createServer(pair(newOne));
  server.on('secureConnection', (socket) => socket.on('error', () => undefined));
  server.on('tlsClientError', () => undefined);
  const port = await listenUntilEnd(t, server);
  const slow = await faultServer(t, (socket) => {
    setTimeout(() => {
      const onward = connect(port, '127.0.0.1');
      for (const one of [socket, onward]) one.on('error', () => undefined);
      socket.pipe(onward).pipe(socket);
    }, 1300);
  });
  const target = { endpoint: parseEndpoint(`https://127.0.0.1:${slow}`), servername: undefined, leafSha256: fingerprint(newOne) };
  const old = { ...target, endpoint: (await serving(t, () => oldOne)).endpoint };
  const [late, wrong] = await verifyServed([target, old], { deadlineMs: 200, patienceMs: 10_000, confirmations: 1 });
  assert.ok(late?.served && late.attempts === 2, JSON.stringify(late));
  assert.ok(wrong !== undefined && !wrong.served && wrong.afterMs < 2000 && wrong.failure?.timedOut === false);
});

test('a signal ends the asking with its reason', async (t) => {
  const { endpoint } = await serving(t, () => oldOne);
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error('stopped')), 50);
  const asking = verifyServed([{ endpoint, servername: undefined, leafSha256: fingerprint(newOne) }], {
    deadlineMs: 60_000,
    signal: stop.signal,
  });
  await assert.rejects(asking, /stopped/);
});
