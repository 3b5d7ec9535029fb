import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { after, before, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';

import { leafSha256 } from '../../src/certificate/bundle.ts';
import { parseEndpoint } from '../../src/delivery/endpoint.ts';
import type { ProbeFailure, ProbeStep } from '../../src/delivery/failure.ts';
import { probe, servedLeafSha256, type ProbeOptions, type ProbeResult } from '../../src/delivery/probe.ts';
import { describeError } from '../../src/platform/errors.ts';
import { faultServer, listenUntilEnd, scripted } from '../support/fault-server.ts';
import { opensslCa, type MadeCertificate, type OpensslCa } from '../support/openssl-ca.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

let ca: OpensslCa;
let good: MadeCertificate;
const cleanups: (() => void)[] = [];

before(async () => {
  ca = await opensslCa(scratchDirectory({ after: (work) => cleanups.push(work as () => void) }));
  good = await ca.leaf('good', { names: ['mail.lab.test', '127.0.0.1'] });
});
after(() => {
  for (const cleanup of cleanups) cleanup();
});

function ask(url: string, options: Partial<ProbeOptions> = {}): Promise<ProbeResult> {
  return probe(parseEndpoint(url), { servername: undefined, timeoutMs: 5000, trust: readFileSync(ca.rootFile, 'utf8'), ...options });
}

/** The one failure that the probe reports, which must be of this step. */
async function failsAt(step: ProbeStep, url: string, options: Partial<ProbeOptions> = {}): Promise<ProbeFailure> {
  const { failures } = await ask(url, options);
  assert.deepEqual(
    failures.map((failure) => failure.step),
    [step],
    failures.map(describeError).join('\n'),
  );
  const [failure] = failures;
  assert.ok(failure);
  assert.ok(failure.where === url && failure.remedy !== undefined, describeError(failure));
  return failure;
}

async function tlsServer(t: TestContext, made: MadeCertificate, withChain = true): Promise<number> {
  const cert = readFileSync(withChain ? made.fullchainFile : made.certificateFile);
  const server = createTlsServer({ cert, key: readFileSync(made.keyFile) }, (socket) => socket.on('error', () => undefined));
  server.on('tlsClientError', () => undefined);
  return listenUntilEnd(t, server);
}

const SMTP = (answer: string): ReturnType<typeof scripted> =>
  scripted('220 mail ESMTP\r\n', [
    [/^EHLO/, '250-mail\r\n250 STARTTLS\r\n'],
    [/^STARTTLS/, answer],
  ]);

test('a port where nobody listens fails at tcp, at once', async () => {
  const failure = await failsAt('tcp', `https://127.0.0.1:${await freePort()}`);
  assert.match(describeError(failure), /refused/);
});

test('a host name without an address fails at tcp and says so', async () => {
  assert.match(describeError(await failsAt('tcp', 'https://no-such-host.invalid:443')), /no address/);
});

test('a silent server fails at the greeting or the handshake when the time is over', async (t) => {
  const port = await faultServer(t, () => undefined);
  for (const scheme of ['smtp', 'imap', 'pop3']) {
    const failure = await failsAt('greeting', `${scheme}://127.0.0.1:${port}`, { timeoutMs: 150 });
    assert.match(describeError(failure), new RegExp(`no answer within 1[45]\\d ms.*use ${scheme}s://`));
  }
  await failsAt('handshake', `https://127.0.0.1:${port}`, { timeoutMs: 150 });
});

test('a server that stops answering after its greeting fails at starttls', async (t) => {
  const port = await faultServer(t, scripted('220 mail ESMTP\r\n', []));
  await failsAt('starttls', `smtp://127.0.0.1:${port}`, { timeoutMs: 5000, stepTimeoutMs: 150 });
});

test('a garbage greeting is quoted without its control characters', async (t) => {
  const port = await faultServer(t, (socket) => socket.write('\u001b]0;owned\u0007SSH-2.0-x\r\n'));
  for (const scheme of ['smtp', 'imap', 'pop3']) {
    const failure = await failsAt('greeting', `${scheme}://127.0.0.1:${port}`);
    assert.equal(failure.peerSaid, ']0;owned SSH-2.0-x');
    assert.match(describeError(failure), /does not speak/);
  }
});

test('a server that refuses service in its greeting is quoted', async (t) => {
  const refusals = { smtp: '554 go away', imap: '* BYE go away', pop3: '-ERR go away' };
  for (const [scheme, refusal] of Object.entries(refusals)) {
    const port = await faultServer(t, (socket) => socket.end(`${refusal}\r\n`));
    const failure = await failsAt('greeting', `${scheme}://127.0.0.1:${port}`);
    assert.equal(failure.peerSaid, refusal);
  }
});

function flood(piece: string): (socket: Socket) => void {
  return (socket) => {
    const pour = (): void => {
      while (socket.writable && socket.write(piece)) {
        // As fast as the client takes it.
      }
    };
    socket.on('drain', pour);
    pour();
  };
}

test('a greeting without end, in lines or in one line, is cut off and uses no more memory', async (t) => {
  for (const piece of ['220-on and on\r\n', 'x'.repeat(1000)]) {
    const port = await faultServer(t, flood(piece));
    const resting = process.memoryUsage().rss;
    const failure = await failsAt('greeting', `smtp://127.0.0.1:${port}`);
    assert.match(describeError(failure), /more than (64|8) KiB/);
    assert.ok(process.memoryUsage().rss - resting < 64 * 2 ** 20);
  }
});

test('a server that does not offer STARTTLS fails there, however it would answer', async (t) => {
  const ports = {
    smtp: await faultServer(t, scripted('220 mail ESMTP\r\n', [[/^EHLO/, '250-STARTTLS\r\n250 SIZE 100\r\n']])),
    imap: await faultServer(t, scripted('* OK hello\r\n', [[/CAPABILITY/, '* CAPABILITY IMAP4rev1 LOGINDISABLED\r\np1 OK done\r\n']])),
    pop3: await faultServer(t, scripted('+OK hello\r\n', [[/^CAPA/, '+OK\r\nUIDL\r\n.\r\n']])),
  };
  for (const [scheme, port] of Object.entries(ports)) {
    const failure = await failsAt('starttls', `${scheme}://127.0.0.1:${port}`);
    assert.match(describeError(failure), /does not offer ST/);
    if (scheme === 'imap') assert.match(describeError(failure), /LOGINDISABLED nobody can log in/);
  }
});

test('454 after STARTTLS, the sign of an unusable key, is reported as such', async (t) => {
  const port = await faultServer(t, SMTP('454 4.7.0 TLS not available due to local problem\r\n'));
  const failure = await failsAt('starttls', `smtp://127.0.0.1:${port}`);
  assert.equal(failure.peerSaid, '454 4.7.0 TLS not available due to local problem');
  assert.match(failure.remedy ?? '', /key or certificate/);
});

test('a refused STARTTLS fails there on every mail protocol', async (t) => {
  const ports = {
    smtp: await faultServer(t, SMTP('502 no\r\n')),
    imap: await faultServer(
      t,
      scripted('* OK hello\r\n', [
        [/CAPABILITY/, '* CAPABILITY IMAP4rev1 STARTTLS\r\np1 OK done\r\n'],
        [/STARTTLS/, 'p2 BAD no\r\n'],
      ]),
    ),
    // Without CAPA the probe tries STLS all the same.
    pop3: await faultServer(
      t,
      scripted('+OK hello\r\n', [
        [/^CAPA/, '-ERR unknown\r\n'],
        [/^STLS/, '-ERR no\r\n'],
      ]),
    ),
  };
  for (const [scheme, port] of Object.entries(ports)) {
    assert.match(describeError(await failsAt('starttls', `${scheme}://127.0.0.1:${port}`)), /refused ST/);
  }
});

test('replies of many lines with mixed codes, and IMAP answers to another tag, are refused', async (t) => {
  const mixed = await faultServer(t, scripted('220 mail ESMTP\r\n', [[/^EHLO/, '250-mail\r\n550 STARTTLS\r\n']]));
  await failsAt('starttls', `smtp://127.0.0.1:${mixed}`);
  const other = await faultServer(t, scripted('* OK hello\r\n', [[/CAPABILITY/, 'x9 OK done\r\n']]));
  await failsAt('starttls', `imap://127.0.0.1:${other}`);
});

test('plain text injected behind the STARTTLS answer is refused before any handshake', async (t) => {
  const injected = {
    smtp: await faultServer(t, SMTP('220 go\r\n250 injected\r\n')),
    imap: await faultServer(
      t,
      scripted('* OK hello\r\n', [
        [/CAPABILITY/, '* CAPABILITY STARTTLS\r\np1 OK done\r\n'],
        [/STARTTLS/, 'p2 OK go\r\n* OK injected\r\n'],
      ]),
    ),
    pop3: await faultServer(
      t,
      scripted('+OK hello\r\n', [
        [/^CAPA/, '+OK\r\nSTLS\r\n.\r\n'],
        [/^STLS/, '+OK go\r\n+OK injected\r\n'],
      ]),
    ),
  };
  for (const [scheme, port] of Object.entries(injected)) {
    assert.match(describeError(await failsAt('starttls', `${scheme}://127.0.0.1:${port}`)), /1[245] bytes of plain text followed/);
  }
});

test('a connection cut in the handshake fails there, with and without STARTTLS', async (t) => {
  const cut = await faultServer(t, (socket) => socket.once('data', () => socket.destroy()));
  assert.match(describeError(await failsAt('handshake', `https://127.0.0.1:${cut}`)), /closed the connection during the handshake/);
  const later = await faultServer(t, (socket) => {
    SMTP('220 go\r\n')(socket);
    // 0x16 begins a TLS handshake record.
    socket.on('data', (data) => data[0] === 0x16 && socket.resetAndDestroy());
  });
  await failsAt('handshake', `smtp://127.0.0.1:${later}`);
});

test('plain text on a TLS port is recognised and the STARTTLS scheme suggested', async (t) => {
  const port = await faultServer(t, scripted('220 mail ESMTP\r\n', []));
  assert.match(describeError(await failsAt('handshake', `smtps://127.0.0.1:${port}`)), /something else than TLS.*use smtp:\/\//);
  const web = await faultServer(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
  assert.match(describeError(await failsAt('handshake', `https://127.0.0.1:${web}`)), /something else than TLS/);
});

test('a TLS alert is quoted', async (t) => {
  const server = createTlsServer({
    cert: readFileSync(good.fullchainFile),
    key: readFileSync(good.keyFile),
    maxVersion: 'TLSv1.2',
    ciphers: 'ECDHE-RSA-AES128-GCM-SHA256',
  });
  server.on('tlsClientError', () => undefined);
  const failure = await failsAt('handshake', `https://127.0.0.1:${await listenUntilEnd(t, server)}`);
  assert.match(failure.peerSaid ?? '', /handshake failure/);
});

test('a certificate that is right in everything passes and is described', async (t) => {
  const port = await tlsServer(t, good);
  const result = await ask(`https://127.0.0.1:${port}`, { servername: 'mail.lab.test' });
  assert.deepEqual(result.failures, []);
  const leaf = new X509Certificate(readFileSync(good.certificateFile));
  assert.equal(result.served?.leafSha256, leafSha256(leaf));
  assert.deepEqual(result.served?.names, ['mail.lab.test', '127.0.0.1']);
  assert.equal(result.served?.protocol, 'TLSv1.3');
  assert.deepEqual(
    result.served?.chain.map(({ subject }) => subject),
    ['CN=mail.lab.test', 'CN=Test Root Intermediate'],
  );
  assert.equal(result.served?.chain[0]?.notAfter, leaf.validToDate.toISOString());
  assert.equal(result.serverName, 'mail.lab.test');
  assert.equal(await servedLeafSha256(result.endpoint, { servername: 'mail.lab.test', timeoutMs: 5000 }), leafSha256(leaf));
});

test('an address is judged but not sent as SNI, and a wildcard is asked for by a name below it', async (t) => {
  const wild = await ca.leaf('wild', { names: ['*.lab.test', '127.0.0.1'] });
  const names: (string | undefined)[] = [];
  const server = createTlsServer({ cert: readFileSync(wild.fullchainFile), key: readFileSync(wild.keyFile) }, (socket) => {
    socket.on('error', () => undefined);
    names.push(typeof socket.servername === 'string' ? socket.servername : undefined);
  });
  const url = `https://127.0.0.1:${await listenUntilEnd(t, server)}`;
  for (const servername of [undefined, '127.0.0.1', '*.lab.test', 'A.lab.test'])
    assert.deepEqual((await ask(url, { servername })).failures, []);
  // The client may be done a moment before the server notes it.
  while (names.length < 4) await sleep(5);
  assert.deepEqual(names, [undefined, undefined, 'podserve-probe.lab.test', 'a.lab.test']);
  await failsAt('name', url, { servername: 'a.b.lab.test' });
});

test('a wrong name, a name only in the CN, and a missing address fail at name', async (t) => {
  const url = `https://127.0.0.1:${await tlsServer(t, good)}`;
  assert.match(describeError(await failsAt('name', url, { servername: 'other.lab.test' })), /only for mail\.lab\.test, 127\.0\.0\.1/);
  assert.match(describeError(await failsAt('name', url, { servername: '192.0.2.7' })), /does not speak for 192\.0\.2\.7/);
});

test('an unknown root and a missing intermediate fail at chain', async (t) => {
  const stranger = await opensslCa(scratchDirectory(t), 'Stranger');
  const foreign = await tlsServer(t, await stranger.leaf('foreign', { names: ['mail.lab.test'] }));
  const failure = await failsAt('chain', `https://127.0.0.1:${foreign}`, { servername: 'mail.lab.test' });
  assert.match(describeError(failure), /ends at CN=Stranger/);
  await failsAt('chain', `https://127.0.0.1:${await tlsServer(t, good, false)}`);
});

test("the host's own roots judge when no others are given", async (t) => {
  const url = `https://127.0.0.1:${await tlsServer(t, good)}`;
  const { failures } = await probe(parseEndpoint(url), { servername: undefined, timeoutMs: 5000 });
  assert.deepEqual(
    failures.map(({ step }) => step),
    ['chain'],
  );
});

test('expired and not yet valid fail at expiry, and at chain too when the root is unknown', async (t) => {
  const old = await tlsServer(t, await ca.leaf('old', { names: ['127.0.0.1'], at: '60 days ago' }));
  assert.match(describeError(await failsAt('expiry', `https://127.0.0.1:${old}`)), /expired on .* (29|30) d ago/);
  const early = await tlsServer(t, await ca.leaf('early', { names: ['127.0.0.1'], at: 'now + 5 days' }));
  assert.match(describeError(await failsAt('expiry', `https://127.0.0.1:${early}`)), /begins on .* in [45] d.*clocks/);

  const stranger = await opensslCa(scratchDirectory(t), 'Stranger');
  const both = await tlsServer(t, await stranger.leaf('both', { names: ['127.0.0.1'], at: '60 days ago' }));
  const { failures } = await ask(`https://127.0.0.1:${both}`);
  assert.deepEqual(
    failures.map(({ step }) => step),
    ['chain', 'expiry'],
  );
});

test('the clock of the caller decides about dates', async (t) => {
  const url = `https://127.0.0.1:${await tlsServer(t, good)}`;
  const future = Date.now() + 400 * 86_400_000;
  await failsAt('expiry', url, { clock: { now: () => future, sleep: () => Promise.resolve() } });
});

function certificate(made: MadeCertificate): X509Certificate {
  return new X509Certificate(readFileSync(made.certificateFile));
}

test('another leaf than the expected one fails at fingerprint, and the expected one needs no root', async (t) => {
  const stranger = await opensslCa(scratchDirectory(t), 'Stranger');
  const [served, other] = [await stranger.leaf('served', { names: ['127.0.0.1'] }), await ca.leaf('other', { names: ['127.0.0.1'] })];
  const url = `https://127.0.0.1:${await tlsServer(t, served)}`;
  assert.deepEqual((await ask(url, { expected: certificate(served) })).failures, []);
  const goodUrl = `https://127.0.0.1:${await tlsServer(t, good)}`;
  const failure = await failsAt('fingerprint', goodUrl, { expected: certificate(other) });
  assert.ok(
    describeError(failure).includes(leafSha256(certificate(other))) && describeError(failure).includes(leafSha256(certificate(good))),
  );
});

test('a signal ends a probe at once with its reason', async (t) => {
  const port = await faultServer(t, () => undefined);
  for (const scheme of ['https', 'smtp']) {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error('stopped')), 50);
    await assert.rejects(ask(`${scheme}://127.0.0.1:${port}`, { timeoutMs: 60_000, signal: stop.signal }), /stopped/);
  }
  await assert.rejects(ask(`https://127.0.0.1:${port}`, { signal: AbortSignal.abort(new Error('stopped before')) }), /stopped before/);
});
