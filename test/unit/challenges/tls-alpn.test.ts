import assert from 'node:assert/strict';
import { X509Certificate, createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectPlainly, createServer } from 'node:net';
import { test } from 'node:test';
import { connect, type ConnectionOptions } from 'node:tls';

import { parseIdentifier } from '../../../src/certificate/identifier.ts';
import { openSolver } from '../../../src/challenges/open.ts';
import type { ChallengeSolver, ChallengeTask } from '../../../src/challenges/solver.ts';
import { serverNameOf } from '../../../src/challenges/tls-alpn.ts';
import { MINUTE, systemClock, type Clock } from '../../../src/platform/clock.ts';
import { describeError, systemCode } from '../../../src/platform/errors.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { challengeTask, soon } from '../../support/challenge-tasks.ts';
import { freePort } from '../../support/scratch.ts';

function opened(listen: string, clock: Clock = systemClock): Promise<ChallengeSolver> {
  const surroundings = { challengesDirectory: '/nonexistent', resolvers: [], clock, log: silentLog };
  return openSolver({ type: 'tls-alpn-01', via: 'listen', listen }, surroundings);
}

/** What a validating server sees (RFC 8737 §3): the certificate, or the error. */
async function validate(port: number, servername: string, options: ConnectionOptions = {}): Promise<X509Certificate | string> {
  const client = connect({
    host: '127.0.0.1',
    port,
    servername,
    ALPNProtocols: ['acme-tls/1'],
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...options,
  });
  try {
    await once(client, 'secureConnect');
    assert.equal(client.alpnProtocol, 'acme-tls/1');
    const certificate = client.getPeerX509Certificate();
    assert.ok(certificate !== undefined);
    client.resume();
    await once(client, 'close');
    return certificate;
  } catch (error) {
    return systemCode(error) ?? String(error);
  } finally {
    client.destroy();
  }
}

/** The extension id-pe-acmeIdentifier as RFC 8737 §3 and X.690 write it: OID, critical, OCTET STRING in an OCTET STRING. */
function acmeIdentifierOf(task: ChallengeTask): Buffer {
  const digest = createHash('sha256').update(task.keyAuthorization).digest();
  const fixed = Buffer.from('303106082b0601050507011f0101ff04220420', 'hex');
  return Buffer.concat([fixed, digest]);
}

async function assertAnswers(port: number, task: ChallengeTask, options?: ConnectionOptions): Promise<void> {
  const certificate = await validate(port, serverNameOf(task.identifier), options);
  assert.ok(certificate instanceof X509Certificate, String(certificate));
  const { type, value } = task.identifier;
  assert.equal(certificate.subjectAltName?.toLowerCase(), type === 'dns' ? `dns:${value}` : `ip address:${value}`);
  assert.ok(certificate.raw.includes(acmeIdentifierOf(task)), 'no id-pe-acmeIdentifier with the right digest');
  assert.ok(certificate.verify(certificate.publicKey) && certificate.checkIssued(certificate), 'not signed by itself');
}

test('the SNI of a name is itself, of an address its reverse mapping', () => {
  const names = ['xn--bcher-kva.example', '192.0.2.1', '2001:db8::1', '::1'].map((value) => serverNameOf(parseIdentifier(value)));
  assert.deepEqual(names, [
    'xn--bcher-kva.example',
    '1.2.0.192.in-addr.arpa',
    '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa',
    `1.${'0.'.repeat(31)}ip6.arpa`,
  ]);
});

test('names and addresses are answered with a certificate for each, in TLS 1.2 and 1.3, over IPv4 and IPv6', async () => {
  const port = await freePort();
  const tasks = ['www.example.org', 'mail.example.org', '192.0.2.1', '127.0.0.1'].map((name) => challengeTask(name));
  await using solver = await opened(`[::]:${port}`);
  assert.equal(await validate(port, 'www.example.org'), 'ECONNREFUSED');
  await Promise.all(tasks.map((task) => solver.present(task, soon())));
  for (const task of tasks) {
    await assertAnswers(port, task);
    await assertAnswers(port, task, { host: '::1', maxVersion: 'TLSv1.2' });
  }
  for (const task of tasks) await solver.cleanup(task);
  assert.equal(await validate(port, 'www.example.org'), 'ECONNREFUSED');
});

test('a handshake without the protocol, with another beside it, or for another name is refused', async () => {
  const port = await freePort();
  const task = challengeTask();
  await using solver = await opened(`127.0.0.1:${port}`);
  await solver.present(task, soon());
  const name = task.identifier.value;
  const noProtocol = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';
  assert.equal(await validate(port, name, { ALPNProtocols: ['h2', 'http/1.1'] }), noProtocol);
  assert.equal(await validate(port, name, { ALPNProtocols: [] }), noProtocol);
  assert.equal(await validate(port, name, { ALPNProtocols: ['acme-tls/1', 'h2'] }), noProtocol);
  for (const other of ['other.example.org', '']) {
    assert.equal(await validate(port, other), 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME', other);
  }
  await assertAnswers(port, task);
});

test('clients that speak something else, break off or hang hold up neither the answer nor the closing', async () => {
  const port = await freePort();
  const task = challengeTask();
  await using solver = await opened(`127.0.0.1:${port}`);
  await solver.present(task, soon());
  const sockets = ['', 'GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\x02\x00\x01', '\x16'].flatMap((text) =>
    Array.from({ length: 50 }, () => {
      const socket = connectPlainly(port, '127.0.0.1', () => socket.write(text, 'latin1'));
      socket.on('error', () => undefined);
      socket.resume();
      return { socket, closed: once(socket, 'close') };
    }),
  );
  sockets[0]?.socket.resetAndDestroy();
  await assertAnswers(port, task);
  const started = Date.now();
  await solver.cleanup(task);
  assert.ok(Date.now() - started < 1000, 'closing waited for clients');
  await Promise.all(sockets.map(({ closed }) => closed));
});

test('a client that says nothing is cut off after seconds', async () => {
  const port = await freePort();
  await using solver = await opened(`127.0.0.1:${port}`);
  await solver.present(challengeTask(), soon());
  const started = Date.now();
  const socket = connectPlainly(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket.resume(), 'close');
  assert.ok(Date.now() - started < 8000);
});

test('two orders for one name take turns, since one certificate answers for it', async () => {
  const port = await freePort();
  await using solver = await opened(`127.0.0.1:${port}`);
  const [first, second] = [challengeTask(), challengeTask()];
  await solver.present(first, soon());
  let theTurn = false;
  const presented = solver.present(second, soon()).then(() => (theTurn = true));
  await assertAnswers(port, first);
  assert.equal(theTurn, false);
  await solver.cleanup(second);
  await assertAnswers(port, first);
  await solver.cleanup(first);
  await presented;
  await assertAnswers(port, second);
  await solver.cleanup(second);
  assert.equal(await validate(port, first.identifier.value), 'ECONNREFUSED');
});

test('of several orders that wait for one name the next alone gets it, and nothing stays open after the last', async () => {
  const port = await freePort();
  await using solver = await opened(`127.0.0.1:${port}`);
  const tasks = Array.from({ length: 4 }, () => challengeTask());
  const waiting = new Map(tasks.map((task) => [task, solver.present(task, soon()).then(() => task)]));
  while (waiting.size > 0) {
    const task = await Promise.race(waiting.values());
    waiting.delete(task);
    await assertAnswers(port, task);
    await solver.cleanup(task);
  }
  assert.equal(await validate(port, 'www.example.org'), 'ECONNREFUSED');
});

test('an order gives up waiting for its turn when it is aborted, and after two minutes with one clear line', async () => {
  const port = await freePort();
  const skipping: Clock = { now: () => now, sleep: async (ms) => void (now += ms) };
  let now = Date.now();
  await using solver = await opened(`127.0.0.1:${port}`, skipping);
  const first = challengeTask();
  await solver.present(first, soon());
  const started = now;
  await assert.rejects(
    solver.present(challengeTask(), soon()),
    (error) =>
      describeError(error) ===
      'the answer to a challenge cannot be put in place: www.example.org: another order has been proving the same name for 2 minutes; it is tried again later; nothing is to be done unless that repeats',
  );
  assert.equal(now - started, 2 * MINUTE);

  await using patient = await opened(`127.0.0.1:${await freePort()}`);
  await patient.present(first, soon());
  await assert.rejects(patient.present(challengeTask(), AbortSignal.timeout(100)), { name: 'TimeoutError' });
  await assertAnswers(port, first);
});

test('one order presented twice keeps its answer until both are done', async () => {
  const port = await freePort();
  const task = challengeTask();
  await using solver = await opened(`127.0.0.1:${port}`);
  await Promise.all([solver.present(task, soon()), solver.present({ ...task }, soon())]);
  await solver.cleanup(task);
  await assertAnswers(port, task);
  await solver.cleanup(task);
  assert.equal(await validate(port, task.identifier.value), 'ECONNREFUSED');
});

test('a taken port is one line with what to do, and the name is free for the next order', async (t) => {
  const other = createServer();
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const { port } = other.address() as { port: number };
  await using solver = await opened(`127.0.0.1:${port}`);
  await assert.rejects(solver.present(challengeTask(), soon()), (error) => {
    assert.match(
      describeError(error),
      /^the listener for tls-alpn-01 cannot be opened: .* is taken: .*; stop it, or use challenge: http-01/,
    );
    return true;
  });
  other.close();
  await once(other, 'close');
  const task = challengeTask();
  await solver.present(task, soon());
  await assertAnswers(port, task);
});
