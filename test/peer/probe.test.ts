import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { leafSha256 } from '../../src/certificate/bundle.ts';
import { parseEndpoint } from '../../src/delivery/endpoint.ts';
import { verifyServed, type VerifyTarget } from '../../src/delivery/verify.ts';
import { podserve, type Finished } from '../support/command.ts';
import { startDovecot, type Dovecot } from '../support/daemons/dovecot.ts';
import { startHttpd, type Httpd } from '../support/daemons/httpd.ts';
import { startNamed, type Named } from '../support/daemons/named.ts';
import { startPostfix, type Postfix } from '../support/daemons/postfix.ts';
import { opensslCa, type MadeCertificate, type OpensslCa } from '../support/openssl-ca.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

const cleanups: (() => void | Promise<void>)[] = [];
const whole = { after: (work: unknown) => void cleanups.push(work as () => void) };
let directory: string;
let ca: OpensslCa;
let first: MadeCertificate;
let second: MadeCertificate;
let httpd: Httpd;
let named: Named;
let dovecot: Dovecot;
let postfix: Postfix;

before(async () => {
  directory = scratchDirectory(whole);
  ca = await opensslCa(directory);
  first = await ca.leaf('first', { names: ['mail.lab.test', '127.0.0.1', 'localhost'] });
  second = await ca.leaf('second', { names: ['www.lab.test'] });
  const sites = [
    { name: 'mail.lab.test', certificateFile: first.fullchainFile, keyFile: first.keyFile },
    { name: 'www.lab.test', certificateFile: second.fullchainFile, keyFile: second.keyFile },
  ];
  [httpd, named, dovecot, postfix] = await Promise.all([
    startHttpd(whole, sites),
    startNamed(whole, first.fullchainFile, first.keyFile),
    startDovecot(whole, first.fullchainFile, first.keyFile),
    startPostfix(whole, first.combinedFile),
  ]);
});
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

function at(scheme: string, port: number): string {
  return `${scheme}://127.0.0.1:${port}`;
}

function endpoints(): string[] {
  return [
    at('https', httpd.https),
    at('dot', named.dot),
    at('tls', named.dot),
    at('imap', dovecot.imap),
    at('imaps', dovecot.imaps),
    at('pop3', dovecot.pop3),
    at('pop3s', dovecot.pop3s),
    at('smtp', postfix.smtp),
    at('submission', postfix.submission),
    at('smtps', postfix.smtps),
  ];
}

function probeCommand(...args: string[]): Promise<Finished> {
  return podserve(['probe', '--ca', ca.rootFile, ...args]);
}

function fingerprint(made: MadeCertificate): string {
  return leafSha256(new X509Certificate(readFileSync(made.certificateFile)));
}

test('Apache, BIND, Dovecot and Postfix are probed on every port they serve TLS on', async () => {
  const { code, stdout, stderr } = await probeCommand('--json', '--expect', first.certificateFile, ...endpoints());
  assert.equal(code, 0, stderr + stdout);
  const report = JSON.parse(stdout) as {
    ok: boolean;
    endpoints: { url: string; ok: boolean; served: { leafSha256: string; chain: unknown[] } }[];
  };
  assert.deepEqual(
    report.endpoints.map(({ url, ok, served }) => [url, ok, served.leafSha256, served.chain.length]),
    endpoints().map((url) => [url, true, fingerprint(first), 2]),
  );
});

test('Apache shows each site its own certificate by SNI', async () => {
  const url = `https://127.0.0.1:${httpd.https}`;
  for (const [name, made] of [
    ['mail.lab.test', first],
    ['www.lab.test', second],
  ] as const) {
    const { code, stdout, stderr } = await probeCommand('--servername', name, '--expect', made.certificateFile, url);
    assert.equal(code, 0, stderr);
    assert.ok(stdout.includes(fingerprint(made)) && stdout.includes(`asked for ${name}`), stdout);
  }
  const { code, stderr } = await probeCommand('--servername', 'www.lab.test', '--expect', first.certificateFile, url);
  assert.equal(code, 1);
  assert.match(stderr, /step fingerprint/);
});

test('daemons log a goodbye, not a lost connection, after a STARTTLS probe', async () => {
  const [mail, imap] = [postfix.log().length, dovecot.daemon.output().length];
  await probeCommand(`smtp://127.0.0.1:${postfix.smtp}`, `imap://127.0.0.1:${dovecot.imap}`);
  while (!postfix.log().slice(mail).includes('disconnect from')) await sleep(10);
  assert.match(postfix.log().slice(mail), /disconnect from .* starttls=1 quit=1/);
  assert.match(dovecot.daemon.output().slice(imap), /logging out|Logged out/);
});

test('one failing endpoint makes the exit code 1 and the others are still reported', async () => {
  const dead = `imaps://127.0.0.1:${await freePort()}`;
  const { code, stdout, stderr } = await probeCommand(dead, `https://127.0.0.1:${httpd.https}`);
  assert.equal(code, 1);
  assert.match(stdout, /imaps:.*FAILED: tcp\nhttps:.* ok\n/);
  assert.match(stderr, /^podserve probe: there is no connection: imaps:.*; check that the service runs/);
});

test("without --ca the publication's own root counts beside the host's", async (t) => {
  const state = scratchDirectory(t);
  const url = `https://127.0.0.1:${httpd.https}`;
  assert.match((await podserve(['probe', '--state', state, url])).stderr, /step chain/);
  mkdirSync(join(state, 'certificates'));
  copyFileSync(ca.rootFile, join(state, 'certificates', 'ca.pem'));
  const { code, stderr } = await podserve(['probe', '--state', state, url]);
  assert.equal(code, 0, stderr);
});

test('wrong usage is exit code 2 with one clear line', async (t) => {
  const empty = join(scratchDirectory(t), 'empty.pem');
  writeFileSync(empty, 'nothing here\n');
  const wrong: [RegExp, string[]][] = [
    [/no endpoint to probe/, []],
    [/the scheme gopher is unknown.*https:\/\/ smtp:\/\//, ['gopher://x']],
    [/--timeout.*"soon"/, ['--timeout', 'soon', 'https://x']],
    [/--timeout/, ['--timeout', '0', 'https://x']],
    [/--expect.*empty\.pem: there is no certificate/, ['--expect', empty, 'https://x']],
    [/--ca.*missing\.pem: ENOENT/, ['--ca', 'missing.pem', 'https://x']],
    [/cannot stand in a certificate.*"a b"/, ['--servername', 'a b', 'https://127.0.0.1:1']],
  ];
  for (const [line, args] of wrong) {
    const { code, stdout, stderr } = await podserve(['probe', ...args]);
    assert.equal(code, 2, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, line);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  }
});

test('after a reload every daemon is seen serving the new certificate within the deadline', async () => {
  const renewed = await ca.leaf('renewed', { names: ['mail.lab.test', '127.0.0.1', 'localhost'] });
  for (const [from, to] of [
    [renewed.fullchainFile, first.fullchainFile],
    [renewed.keyFile, first.keyFile],
  ] as const)
    copyFileSync(from, to);
  named.install(renewed.fullchainFile, renewed.keyFile);
  dovecot.install(renewed.fullchainFile, renewed.keyFile);
  postfix.install(renewed.combinedFile);
  httpd.reload();
  const reloads = await Promise.all([named.reload(), dovecot.reload(), postfix.reload()]);
  assert.deepEqual(
    reloads.map(({ code }) => code),
    [0, 0, 0],
  );
  const targets = endpoints().map((url): VerifyTarget => ({
    endpoint: parseEndpoint(url),
    servername: undefined,
    leafSha256: fingerprint(renewed),
  }));
  const results = await verifyServed(targets);
  for (const { target, afterMs, attempts } of results)
    console.log(`# ${target.endpoint.url}: ${afterMs.toFixed(0)} ms, ${attempts} handshakes`);
  assert.deepEqual(
    results.map(({ served, failure }) => [served, failure]),
    targets.map(() => [true, undefined]),
  );
});

test('a key that does not belong to the certificate is seen at the step where the daemon breaks', async () => {
  // Facts of the daemons: the reload says all is well, and only a handshake shows the truth.
  dovecot.install(first.fullchainFile, second.keyFile);
  postfix.install(mismatched());
  await Promise.all([dovecot.reload(), postfix.reload()]);
  const { code, stderr } = await probeCommand(
    `imaps://127.0.0.1:${dovecot.imaps}`,
    `smtp://127.0.0.1:${postfix.smtp}`,
    `smtps://127.0.0.1:${postfix.smtps}`,
  );
  assert.equal(code, 1);
  assert.match(stderr, /imaps:.*step handshake/);
  assert.match(stderr, /smtp:.*cannot do it now, the peer said "454 4\.7\.0.*step starttls/);
  assert.match(stderr, /smtps:.*step handshake/);
});

function mismatched(): string {
  const file = join(directory, 'mismatched.pem');
  writeFileSync(file, readFileSync(second.keyFile, 'utf8') + readFileSync(first.fullchainFile, 'utf8'));
  return file;
}
