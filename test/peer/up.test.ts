import assert from 'node:assert/strict';
import { once } from 'node:events';
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';

import { PODSERVE, run } from '../support/command.ts';
import { home, type Home } from '../support/up.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly serial: string;
}

/** One request that trusts the published root alone. */
async function get(place: Home, path: string, agent = new Agent({ keepAlive: false })): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const ca = readFileSync(join(place.directory, 'data/certificates/ca.pem'));
  const call = request(`${place.page}${path}`, { agent, ca, servername: 'localhost' }, (response) => {
    const socket = response.socket as TLSSocket;
    const serial = (agent as { seen?: string }).seen ?? socket.getPeerX509Certificate()?.serialNumber ?? '';
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (text: string) => (body += text));
    response.once('end', () => resolve({ status: response.statusCode ?? 0, body, serial }));
  });
  call.once('error', reject);
  call.end();
  return promise;
}

function publishedSerial(place: Home): string {
  return new X509Certificate(readFileSync(join(place.directory, 'data/certificates/default/..data/cert.pem'))).serialNumber;
}

async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 5000): Promise<void> {
  for (const deadline = performance.now() + ms; !(await condition());) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('up makes a certificate, serves the page with it, and says what is true and what to do next', async (t) => {
  const place = await home(t);
  const running = await place.up();
  const said = running.output();
  for (const shown of [
    place.page,
    'localhost, 127.0.0.1, ::1',
    'generation 1 of local-ca',
    'in 89 days',
    'renewal',
    join(place.directory, 'data/certificates/ca.pem'),
    'podserve ca trust',
    'podserve apache',
    'data/logs/podserve.log',
  ]) {
    assert.ok(said.includes(shown), `${shown} in:\n${said}`);
  }
  const { status, body, serial } = await get(place, '/');
  assert.equal(status, 200);
  assert.match(body, /The certificate is good/);
  assert.equal(serial, publishedSerial(place));
});

test('a second start issues nothing, and is up within 2 seconds', async (t) => {
  const place = await home(t);
  const first = await place.up();
  first.child.kill('SIGINT');
  await first.done;
  const serial = publishedSerial(place);
  const began = performance.now();
  await place.up();
  assert.ok(performance.now() - began < 2000);
  assert.equal(publishedSerial(place), serial);
});

test('a renewal is served at once, with a line on the terminal, while a kept connection goes on', async (t) => {
  const place = await home(t);
  const running = await place.up();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const before = await get(place, '/', agent);
  const sockets = Object.values(agent.freeSockets).flat();
  const { code, stderr } = await place.podserve('certificates', '--mode', 'renew', '--force');
  assert.equal(code, 0, stderr);
  await until('the page serves the new certificate', async () => (await get(place, '/')).serial === publishedSerial(place));
  const after = await get(place, '/status.json', agent);
  assert.equal(after.status, 200);
  assert.equal(after.serial, before.serial, 'the same connection, and so the former certificate');
  assert.deepEqual(Object.values(agent.freeSockets).flat(), sockets);
  await running.says(/default: generation 2 of local-ca .*expires/);
});

test('a generation that cannot be served changes nothing on the page, alarms, and the next good one is taken', async (t) => {
  const place = await home(t);
  await place.up();
  const served = (await get(place, '/')).serial;
  const data = join(place.directory, 'data/certificates/default');
  await place.podserve('certificates', '--mode', 'renew', '--force');
  await until('generation 2 is served', async () => (await get(place, '/')).serial !== served);
  const second = (await get(place, '/')).serial;
  const other = readFileSync(join(data, '..gen-000001/privkey.pem'));
  chmodSync(join(data, '..gen-000002'), 0o755);
  writeFileSync(join(data, '..gen-000002/privkey.pem'), other);
  const { code, stdout } = await place.podserve('status');
  assert.equal(code, 1);
  assert.match(stdout, /ATTENTION: certificate default is corrupt/);
  assert.match(stdout, new RegExp(`${place.page}: serves what it has`));
  assert.equal((await get(place, '/')).serial, second, 'what is served stays served');
  assert.equal((await place.podserve('certificates', '--mode', 'renew')).code, 0);
  await until('generation 3 is served', async () => (await get(place, '/')).serial === publishedSerial(place));
  assert.equal((await place.podserve('status')).code, 0);
});

test('Ctrl-C ends it within a second with exit code 0 and says what stays; also when npm passes it on once more', async (t) => {
  const place = await home(t);
  const running = await place.up();
  const stream = connect({ port: place.port, host: '127.0.0.1', rejectUnauthorized: false });
  stream.on('error', () => undefined);
  await once(stream, 'secureConnect');
  stream.write('GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n');
  await once(stream, 'data');
  const half = connect({ port: place.port, host: '127.0.0.1', rejectUnauthorized: false });
  half.on('error', () => undefined);
  await once(half, 'secureConnect');
  half.write('GET / HTTP/1.1\r\nhost: local');
  const began = performance.now();
  running.child.kill('SIGINT');
  // Another signal, because the kernel would make one of two that are the same.
  running.child.kill('SIGTERM');
  const { code, stdout } = await running.done;
  assert.ok(performance.now() - began < 1000);
  assert.equal(code, 0);
  assert.match(stdout, /Stopped\. Certificates, keys and history stay in .*data; to start again: .*up\n$/);
});

test('after kill -9 the next start works, and keeps the certificate', async (t) => {
  const place = await home(t);
  const first = await place.up();
  const serial = publishedSerial(place);
  first.child.kill('SIGKILL');
  await first.done;
  assert.match((await place.podserve('status')).stdout, /nothing runs in/);
  await place.up();
  assert.equal((await get(place, '/')).serial, serial);
});

test('a second up on the same state is refused in one line that names the first', async (t) => {
  const place = await home(t);
  const first = await place.up();
  const { code, stdout, stderr } = await place.podserve('up');
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    new RegExp(`^podserve: podserve runs here already: .*process ${first.child.pid} since .*${place.page}; podserve down ends it[^\n]*\n$`),
  );
});

test('a taken port is one clear line with its holder, before anything is issued or said', async (t) => {
  const place = await home(t);
  const blocker = createServer().listen(place.port, '127.0.0.1');
  t.after(() => blocker.close());
  await once(blocker, 'listening');
  const { code, stdout, stderr } = await place.podserve('up');
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    new RegExp(`^podserve: port ${place.port} is taken: 127.0.0.1:${place.port}: .*process ${process.pid}.*admin.listen[^\n]*\n$`),
  );
  assert.equal(existsSync(join(place.directory, 'data/certificates')), false);
});

test('a directory that cannot be written is one clear line', async (t) => {
  const place = await home(t);
  // A read-only mount, because root may write to what is only marked so.
  const { code, stderr } = await run('unshare', [
    '-m',
    'sh',
    '-c',
    'mount -t tmpfs -o ro none "$0" && exec "$1" up --state "$0/data" --config "$2"',
    '/mnt',
    (await import('../support/command.ts')).PODSERVE,
    join(place.directory, 'podserve.yaml'),
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /^podserve: the state directory cannot be written: \/mnt\/data: [^\n]*read-only[^\n]*--state DIR\n$/);
});

test('wrong configuration is refused with exit code 2 and leaves nothing behind', async (t) => {
  const place = await home(t, 'certificates: [{ name: default, nmaes: [localhost] }]\n');
  const { code, stderr } = await place.podserve('up');
  assert.equal(code, 2);
  assert.match(stderr, /nmaes/);
  assert.equal(existsSync(join(place.directory, 'data')), false);
});

test('status tells nothing, running, stopped and trouble apart, by words, JSON and exit code', async (t) => {
  const place = await home(t);
  const nothing = await place.podserve('status');
  assert.equal(nothing.code, 1);
  assert.match(nothing.stdout, /nothing runs in .*\n(?:.*\n)*.*ATTENTION: certificate default is missing/);
  assert.equal(existsSync(join(place.directory, 'data')), false, 'looking changes nothing');

  const running = await place.up();
  const well = await place.podserve('status');
  assert.equal(well.code, 0, well.stdout);
  assert.match(well.stdout, new RegExp(`podserve up runs in .*process ${running.child.pid}`));
  assert.match(well.stdout, new RegExp(`${place.page}: serves what is published`));
  const json = JSON.parse((await place.podserve('status', '--json')).stdout) as {
    attention: boolean;
    instance: { pid: number };
    certificates: { published: { generation: number } }[];
    endpoints: { state: string }[];
    roots: { state: string }[];
  };
  assert.equal(json.attention, false);
  assert.equal(json.instance.pid, running.child.pid);
  assert.equal(json.certificates[0]?.published.generation, 1);
  assert.deepEqual(
    json.endpoints.map(({ state }) => state),
    ['served'],
  );
  assert.deepEqual(
    json.roots.map(({ state }) => state),
    ['signs'],
  );

  const down = await place.podserve('down');
  assert.equal(down.code, 0);
  assert.match(down.stdout, /has ended; certificates, keys and history stay in/);
  assert.equal((await running.done).code, 0);
  assert.match((await place.podserve('down')).stdout, /^nothing runs in /);
  const stopped = await place.podserve('status');
  assert.equal(stopped.code, 0, stopped.stdout);
  assert.match(stopped.stdout, /all is well\nnothing renews by itself until it runs/);

  rmSync(join(place.directory, 'data/certificates/default'), { recursive: true });
  const trouble = await place.podserve('status');
  assert.equal(trouble.code, 1);
  assert.match(trouble.stdout, /renew --dry-run/);
});

test('another user is told whose it is, and not that nothing runs or that there is nothing', async (t) => {
  const place = await home(t);
  await place.up();
  chmodSync(place.directory, 0o755);
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', PODSERVE];
  const file = join(place.directory, '..', 'never.tar.gz');
  for (const [args, line] of [
    [
      ['down'],
      /cannot be seen whether podserve runs: .*resident\.json: user 65534 may not .*authority belongs to user 0; run it as user 0\n$/,
    ],
    [['status'], /cannot be seen whether podserve runs: .*resident\.json: .* belongs to user 0; run it as user 0\n$/],
    [['logs'], /the log cannot be read: .*podserve\.log: .*logs belongs to user 0; run it as user 0\n$/],
    [['backup', file], /cannot be read: .*authority: user 65534 may not .*it belongs to user 0; run it as user 0\n$/],
  ] as const) {
    const { code, stdout, stderr } = await run('setpriv', [...nobody, ...args], { cwd: place.directory, env: { NODE_COMPILE_CACHE: '' } });
    assert.match(stderr, line);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.equal(code, 1, stdout);
  }
});

test('the log is kept as JSON, shown for people, and followed', async (t) => {
  const place = await home(t);
  const none = await place.podserve('logs');
  assert.equal(none.code, 1);
  assert.match(none.stderr, /there is no log here/);
  const running = await place.up();
  const lines = (await place.podserve('logs', '--json')).stdout.trim().split('\n');
  assert.ok(lines.some((line) => (JSON.parse(line) as { msg: string }).msg === 'podserve is up'));
  assert.equal((await place.podserve('logs', '--json', '-n', '1')).stdout.trim().split('\n').length, 1);
  assert.match((await place.podserve('logs')).stdout, /INFO: podserve is up/);
  const following = place.start('logs', '-f', '-n', '0');
  await new Promise((resolve) => setTimeout(resolve, 300));
  running.child.kill('SIGTERM');
  await following.says(/stopping/);
  following.child.kill('SIGINT');
  assert.equal((await following.done).code, 0);
  assert.equal((await place.podserve('logs', '-n', 'x')).code, 2);
});

test('cron serves its status port without a page, renews what another asks for, and reads its configuration again', async (t) => {
  const place = await home(t);
  const running = place.start('certificates', '--mode', 'cron');
  await running.says(/the certificate service runs/);
  const ask = async (path: string): Promise<{ status: number; text: string }> => {
    const response = await fetch(`${place.status}${path}`);
    return { status: response.status, text: await response.text() };
  };
  await until('it is ready', async () => (await ask('/readyz')).status === 200);
  assert.equal((await ask('/healthz')).status, 200);
  const status = JSON.parse((await ask('/status')).text) as {
    service: string;
    certificates: { name: string; published: { generation: number } }[];
  };
  assert.equal(status.service, 'certificates');
  assert.equal(status.certificates[0]?.published.generation, 1);
  assert.match((await ask('/metrics')).text, /podserve_certificate_not_after_seconds\{.*certificate="default".*\} \d+/);
  assert.equal((await ask('/status')).text.includes('PRIVATE'), false);

  const file = join(place.directory, 'podserve.yaml');
  writeFileSync(file, `${readFileSync(file, 'utf8')}certificates: [{ name: mail, names: [mail.localhost] }]\n`);
  running.child.kill('SIGHUP');
  await until('the new certificate is made', () => existsSync(join(place.directory, 'data/certificates/mail/..data/cert.pem')));
  writeFileSync(file, 'nonsense: [');
  running.child.kill('SIGHUP');
  await running.says(/the new configuration was refused, the old one stays/);
  assert.equal((await ask('/healthz')).status, 200);
  running.child.kill('SIGTERM');
  assert.equal((await running.done).code, 0);
});

test('no key and nothing of the publication is left in the runtime directory after the end', async (t) => {
  const place = await home(t);
  const running = await place.up();
  const run1 = join(place.directory, 'run/podserve');
  assert.equal(
    readdirSync(run1, { recursive: true }).some((name) => String(name).endsWith('default.pem')),
    true,
  );
  running.child.kill('SIGTERM');
  await running.done;
  assert.deepEqual(readdirSync(run1, { recursive: true }), []);
});
