import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connect, type ConnectionOptions } from 'node:tls';

import { apacheStack, fingerprint, newBundle, type Stack } from '../support/apache.ts';
import { PODSERVE, podserve, start } from '../support/command.ts';
import { publishByHand } from '../support/hand-publication.ts';

async function readyStack(t: TestContext): Promise<{ stack: Stack; apache: ReturnType<Stack['start']>; master: number; leaf: string }> {
  const stack = await apacheStack(t);
  const bundle = await newBundle();
  publishByHand(stack.root, 'default', 1, bundle);
  const apache = stack.start();
  const { daemons } = await stack.until(({ ready }) => ready);
  return { stack, apache, master: daemons[0]?.pid ?? 0, leaf: fingerprint(bundle) };
}

test('Apache that dies is started again with the same certificate, and the status says why it died', async (t) => {
  const { stack, master, leaf } = await readyStack(t);
  process.kill(master, 'SIGKILL');
  const { daemons } = await stack.until(({ ready, daemons: all }) => ready && all[0]?.restarts === 1);
  assert.match(daemons[0]?.lastEnd ?? '', /it was ended by SIGKILL/);
  assert.notEqual(daemons[0]?.pid, master);
  assert.equal(await stack.served(), leaf);
});

test('after kill -9 of podserve no Apache is left, and the next start serves at once', async (t) => {
  const { stack, apache, master, leaf } = await readyStack(t);
  apache.child.kill('SIGKILL');
  await apache.done;
  for (let waited = 0; waited < 3000 && isRunning(master); waited += 20) await setTimeout(20);
  assert.ok(!isRunning(master));
  stack.start();
  await stack.until(({ ready }) => ready);
  assert.equal(await stack.served(), leaf);
});

test('an Apache that outlived a killed podserve, where there is no setpriv, is ended by the next start', async (t) => {
  const stack = await apacheStack(t);
  publishByHand(stack.root, 'default', 1, await newBundle());
  const programs = join(stack.directory, 'programs');
  mkdirSync(programs);
  for (const name of ['mkfifo', 'dirname', 'readlink', 'sh']) symlinkSync(`/usr/bin/${name}`, join(programs, name));
  const first = stack.start({ env: { PATH: programs } });
  const { daemons } = await stack.until(({ ready }) => ready);
  const master = daemons[0]?.pid ?? 0;
  first.child.kill('SIGKILL');
  await first.done;
  await setTimeout(300);
  t.after(() => {
    if (isRunning(master)) process.kill(master, 'SIGKILL');
  });
  assert.ok(isRunning(master), 'Apache ended by itself: nothing is proven');
  stack.start();
  const after = await stack.until(({ ready }) => ready);
  assert.notEqual(after.daemons[0]?.pid, master);
  assert.ok(!isRunning(master));
});

test('SIGTERM ends everything within 5 seconds, a download in flight included', async (t) => {
  const stack = await apacheStack(t, { sites: [{ certificate: 'default', root: 'www' }] });
  mkdirSync(join(stack.directory, 'www'));
  writeFileSync(join(stack.directory, 'www/large.bin'), Buffer.alloc(64 * 1024 * 1024));
  publishByHand(stack.root, 'default', 1, await newBundle());
  const apache = stack.start();
  const { daemons } = await stack.until(({ ready }) => ready);
  const socket = connect({ port: stack.https, host: '127.0.0.1', rejectUnauthorized: false });
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  socket.write('GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await new Promise((resolve) => socket.once('data', resolve));
  socket.pause();
  const began = performance.now();
  apache.child.kill('SIGTERM');
  const { code } = await apache.done;
  const took = performance.now() - began;
  assert.equal(code, 0);
  assert.ok(took < 5000, `it took ${took} ms`);
  assert.ok(!isRunning(daemons[0]?.pid ?? 0));
  assert.ok(!existsSync(join(stack.run, 'default.pem')), 'the copy of the key is still there');
});

test('SIGHUP takes a new configuration, and keeps the old one when the new one is wrong', async (t) => {
  const { stack, apache, master } = await readyStack(t);
  publishByHand(stack.root, 'two', 1, await newBundle(['two.example.org']));
  const certificates = { default: ['localhost'], two: ['two.example.org'] };
  stack.configure({ certificates, sites: [{ certificate: 'default' }, { certificate: 'two' }], hsts: 300 });
  apache.child.kill('SIGHUP');
  const { daemons } = await stack.until(({ ready, certificates: all }) => ready && all.length === 2);
  assert.equal(daemons[0]?.pid, master, 'Apache was started again');

  stack.configure({ certificates, sites: [{ certificate: 'three' }] });
  apache.child.kill('SIGHUP');
  await apache.says(/the new configuration is not taken: the old one stays/);
  stack.configure({ certificates, sites: [{ certificate: 'default', root: 'a"b' }] });
  apache.child.kill('SIGHUP');
  await apache.says(/cannot stand in Apache's configuration/);
  assert.equal((await stack.report()).certificates.length, 2);
  await stack.served('two.example.org');
});

test('a taken port is one clear line that names the port, the setting and who has it', async (t) => {
  const stack = await apacheStack(t);
  const server = createTcpServer().listen(stack.https, '127.0.0.1');
  t.after(() => server.close());
  const { code, stderr } = await stack.start().done;
  assert.equal(code, 1);
  const [line, ...more] = stderr.trim().split('\n');
  assert.deepEqual(more, []);
  assert.match(
    line ?? '',
    new RegExp(`port ${stack.https} is taken: 127.0.0.1:${stack.https}: .*\\(process ${process.pid}\\).*apache\\.https`),
  );
});

test('a port that is taken when HTTPS begins does not cost the plain port, and is said', async (t) => {
  const stack = await apacheStack(t);
  const apache = stack.start();
  await apache.says(/apache serves/);
  const server = createTcpServer().listen(stack.https, '127.0.0.1');
  t.after(() => server.close());
  publishByHand(stack.root, 'default', 1, await newBundle());
  const { daemons } = await stack.until(({ reasons }) => reasons.join().includes(`port ${stack.https} is taken`));
  assert.equal(daemons[0]?.state, 'running');
  assert.equal((await fetch(`http://127.0.0.1:${stack.http}/`)).status, 503);
});

test('a second podserve on the same runtime directory is refused and changes nothing', async (t) => {
  const { stack, leaf } = await readyStack(t);
  const other = join(stack.directory, 'other.yaml');
  const text = JSON.parse(readFileSync(stack.config, 'utf8')) as { apache: Record<string, unknown> };
  Object.assign(text.apache, { http: '127.0.0.1:1', https: '127.0.0.1:2', status: '127.0.0.1:3' });
  writeFileSync(other, JSON.stringify(text));
  const { code, stderr } = await podserve(['apache', '--config', other, '--state', stack.state, '--run', stack.run]);
  assert.equal(code, 1);
  assert.match(stderr, /runs already.*process \d+.*--run DIR/);
  assert.equal(await stack.served(), leaf);
});

test('an ordinary user runs it too, and nobody else can read the copies of the keys', async (t) => {
  const stack = await apacheStack(t);
  const nobody = 65_534;
  publishByHand(stack.root, 'default', 1, await newBundle());
  execFileSync('chown', ['-R', `${nobody}:${nobody}`, stack.directory]);
  const args = ['apache', '--config', stack.config, '--state', stack.state];
  const asNobody = process.geteuid?.() === 0 ? ['setpriv', '--reuid', `${nobody}`, '--regid', `${nobody}`, '--clear-groups', '--'] : [];
  const [program = PODSERVE, ...rest] = [...asNobody, PODSERVE, ...args];
  start(t, program, rest, { env: { NODE_COMPILE_CACHE: join(stack.directory, 'cache') } });
  await stack.until(({ ready }) => ready);
  const run = join(stack.state, 'apache/run');
  assert.equal(statSync(run).mode & 0o777, 0o700);
  assert.equal(statSync(join(run, 'default.pem')).mode & 0o777, 0o600);
});

test('each site has its own certificate and content, and plain HTTP leads to HTTPS', async (t) => {
  const upstream = createServer((request, response) => response.end(JSON.stringify({ url: request.url, headers: request.headers })));
  upstream.on('upgrade', (_, socket) =>
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello'),
  );
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  t.after(() => upstream.close());
  const address = upstream.address();
  const proxy = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`;
  const stack = await apacheStack(t, {
    certificates: { default: ['localhost', '*.example.org'], app: ['app.example.org'], late: ['late.example.org'] },
    sites: [{ certificate: 'default', root: 'www' }, { certificate: 'app', proxy }, { certificate: 'late' }],
    hsts: 3600,
  });
  mkdirSync(join(stack.directory, 'www/.git'), { recursive: true });
  writeFileSync(join(stack.directory, 'www/index.html'), 'files');
  writeFileSync(join(stack.directory, 'www/.git/config'), 'secret');
  const challenges = join(stack.state, 'challenges');
  symlinkSync('/etc/hostname', join(challenges, 'link'));
  mkdirSync(join(challenges, 'directory'));
  const [main, app] = [await newBundle(['localhost', '*.example.org']), await newBundle(['app.example.org'])];
  publishByHand(stack.root, 'default', 1, main);
  publishByHand(stack.root, 'app', 1, app);
  stack.start();
  const { reasons } = await stack.until(({ certificates }) => certificates.filter(({ state }) => state === 'served').length === 2);
  assert.deepEqual(reasons, ['certificate late is missing: it is not published; nothing is served for it']);

  assert.equal(await stack.served('any.example.org'), fingerprint(main));
  assert.equal(await stack.served('app.example.org'), fingerprint(app));
  const ask = (name: string, head: string): Promise<string> => rawRequest(stack.https, name, head);
  assert.match(await ask('any.example.org', 'GET / HTTP/1.1'), /strict-transport-security: max-age=3600[\s\S]*files$/i);
  assert.match(await ask('localhost', 'GET /.git/config HTTP/1.1'), /^HTTP\/1.1 403/);
  assert.match(await ask('late.example.org', 'GET / HTTP/1.1'), /^HTTP\/1.1 503/);
  const forwarded = await ask('app.example.org', 'GET /a?b=c HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6');
  assert.match(forwarded, /"url":"\/a\?b=c"/);
  assert.match(forwarded, /"host":"app\.example\.org"/);
  assert.match(forwarded, /"x-forwarded-proto":"https"/);
  assert.match(forwarded, /"x-forwarded-for":"127\.0\.0\.1"/);
  const upgrade = 'GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
  assert.match(await ask('app.example.org', upgrade), /^HTTP\/1.1 101[\s\S]*hello$/);

  const plain = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${stack.http}${path}`, { redirect: 'manual' });
  const redirect = await plain('/a%20b?q=%2F');
  assert.equal(redirect.status, 308);
  assert.equal(redirect.headers.get('location'), `https://127.0.0.1:${stack.https}/a%20b?q=%2F`);
  assert.equal(redirect.headers.get('server'), 'Apache');
  for (const name of ['link', 'directory', 'directory/', '', 'none', '..%2f..%2fcertificates']) {
    const { status } = await plain(`/.well-known/acme-challenge/${name}`);
    assert.ok(status === 403 || status === 404, `${name} gave ${status}`);
  }
  assert.equal(await handshake(stack.https, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' }), undefined);
  assert.equal(await handshake(stack.https, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }), undefined);
  assert.equal(await handshake(stack.https, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'] }), 'h2');
});

/** A zombie that nobody has reaped yet has no command line. */
function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
}

function rawRequest(port: number, name: string, head: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', servername: name, rejectUnauthorized: false });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let answer = '';
  socket.on('data', (data) => (answer += data.toString()));
  socket.once('error', reject).once('close', () => resolve(answer));
  const connection = /^Upgrade:/m.test(head) ? 'Upgrade' : 'close';
  socket.write(`${head}\r\nHost: ${name}\r\nConnection: ${connection}\r\n\r\n`);
  return promise;
}

async function handshake(port: number, options: ConnectionOptions): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false, ...options }, () =>
    resolve(socket.alpnProtocol === false ? '' : (socket.alpnProtocol ?? '')),
  );
  socket.once('error', () => resolve(undefined));
  const result = await promise;
  socket.destroy();
  return result;
}
