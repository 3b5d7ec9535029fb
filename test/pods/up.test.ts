import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import type { Finished } from '../support/command.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { DEPLOY, PODMAN_ENV, podHost, type PodHost } from '../support/pods.ts';
import { PODSERVE, start } from '../support/command.ts';

/** Under load from other tests; the aim is printed beside what it took. */
const LONGEST_UP_S = 60;
const AIM_S = 15;

interface Up extends Finished {
  readonly seconds: number;
}

async function up(host: PodHost, ...more: string[]): Promise<Up> {
  const began = performance.now();
  const finished = await host.podserve(['up', '--pods', '--state', host.data, ...more], { cwd: join(host.data, '..') });
  return { ...finished, seconds: (performance.now() - began) / 1000 };
}

async function ids(host: PodHost): Promise<Map<string, string>> {
  const lines = (await host.must(['pod', 'ps', '--format', '{{.Name}} {{.Id}}'])).split('\n');
  return new Map(lines.map((line) => line.split(' ') as [string, string]));
}

function subjects({ stdout }: Finished): string[] {
  return stdout
    .split('\n')
    .flatMap((line) => /^(certificates|web|consumer) +(starting|replacing it|ready|runs already)/.exec(line)?.slice(1, 3).join(' ') ?? []);
}

test('up --pods brings all up in boot order, says what is true, and again changes nothing', async (t) => {
  const host = await podHost(t);
  const first = await up(host);
  t.diagnostic(`up --pods with images built: ${first.seconds.toFixed(1)} s (aim ${AIM_S} s)`);
  assert.equal(first.code, 0, first.stdout + first.stderr);
  assert.deepEqual(subjects(first), [
    'certificates starting',
    'certificates ready',
    'web starting',
    'web ready',
    'consumer starting',
    'consumer ready',
  ]);
  assert.match(
    first.stdout,
    /The pods are up\.\n\n {2}web +https:\/\/localhost\n {2}certificate +default: localhost, 127\.0\.0\.1, ::1\n +generation 1 of local-ca/,
  );
  assert.ok(first.seconds < LONGEST_UP_S, `${first.seconds} s`);

  const before = await ids(host);
  const second = await up(host);
  assert.equal(second.code, 0, second.stderr);
  assert.deepEqual(subjects(second), ['certificates runs already', 'web runs already', 'consumer runs already']);
  assert.match(second.stdout, /Nothing was changed: the pods are up\./);
  assert.deepEqual(await ids(host), before);

  const status = await host.podserve(['status', '--state', host.data]);
  assert.match(
    status.stdout,
    /^pod certificates: running\n {4}certificates: running since .*, ready\npod web: running, ports .*\n {4}apache: .*, ready\npod consumer/m,
  );
  assert.match(
    status.stdout,
    /default: good: localhost.*\n {4}generation 1 of local-ca[^]*https:\/\/127\.0\.0\.1:443: serves what is published/,
  );
  assert.equal(status.code, 0, status.stdout);
  const json = JSON.parse((await host.podserve(['status', '--json', '--state', host.data])).stdout) as {
    pods: { name: string }[];
    attention: boolean;
  };
  assert.deepEqual([json.pods.map(({ name }) => name).toSorted(), json.attention], [['certificates', 'consumer', 'web'], false]);

  const logs = await host.podserve(['logs', '--state', host.data]);
  assert.match(logs.stdout, /^certificates \| .*the certificate service runs/m);
  assert.match(logs.stdout, /^apache {7}\| .*apache serves/m);
  assert.doesNotMatch((await host.podserve(['logs', 'apache', '--state', host.data])).stdout, /^certificates/m);
});

test('down keeps the data and says where; up again has the same certificate and the same CA', async (t) => {
  const host = await podHost(t);
  assert.equal((await up(host)).code, 0);
  const root = readFileSync(join(host.data, 'certificates', 'ca.pem'), 'utf8');
  const before = await host.current();
  const began = performance.now();
  const down = await host.podserve(['down', '--state', host.data]);
  const downSeconds = (performance.now() - began) / 1000;
  assert.equal(down.code, 0, down.stderr);
  for (const pod of ['certificates', 'web', 'consumer']) assert.match(down.stdout, new RegExp(`^pod ${pod} is stopped and removed$`, 'm'));
  assert.ok(down.stdout.includes(`certificates, keys and history stay in ${host.data}`), down.stdout);
  assert.deepEqual(await ids(host).then((found) => ['certificates', 'web', 'consumer'].filter((name) => found.has(name))), []);
  assert.ok(existsSync(join(host.data, 'authority')));

  const again = await up(host);
  t.diagnostic(`down: ${downSeconds.toFixed(1)} s; up --pods after it: ${again.seconds.toFixed(1)} s (aim ${AIM_S} s)`);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(readFileSync(join(host.data, 'certificates', 'ca.pem'), 'utf8'), root);
  assert.equal((await host.current())?.manifest.leafSha256, before?.manifest.leafSha256);
  assert.equal((await host.podserve(['down', '--state', host.data])).code, 0);
  const nothing = await host.podserve(['down', '--state', host.data]);
  assert.deepEqual([nothing.code, nothing.stdout], [0, `nothing runs in ${host.data}\n`]);
});

test('a changed configuration is read by the running pods; a wrong one is refused and changes nothing', async (t) => {
  const host = await podHost(t);
  assert.equal((await up(host)).code, 0);
  const before = await ids(host);
  const file = join(host.data, 'config', 'podserve.yaml');
  writeFileSync(file, 'certificates: [{ name: default }, { name: mail, names: [mail.localhost] }]\n');
  const told = await up(host);
  assert.equal(told.code, 0, told.stdout + told.stderr);
  assert.match(told.stdout, /^certificates +reads .*podserve\.yaml again$/m);
  for (const deadline = Date.now() + 20_000; Date.now() < deadline && (await host.current('mail')) === undefined;)
    await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal((await host.current('mail'))?.number, 1);
  writeFileSync(file, 'certificats: []\n');
  const wrong = await up(host);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stdout, /ATTENTION: the pods go on with the configuration that they have: .*certificats/);
  assert.deepEqual(await ids(host), before);
});

test('a pod that was killed half-way through a start is made again, and only it', async (t) => {
  const host = await podHost(t);
  const running = start(t, PODSERVE, ['up', '--pods', '--state', host.data], { env: PODMAN_ENV });
  await running.says(/^web +starting/m, 60_000);
  running.child.kill('SIGKILL');
  await running.done;
  const left = await ids(host);
  const { code, stdout, stderr } = await up(host);
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^certificates +runs already, unchanged$/m);
  assert.equal((await ids(host)).get('certificates'), left.get('certificates'));
});

test('Ctrl-C leaves what runs, says so, and exits 1', async (t) => {
  const host = await podHost(t);
  const running = start(t, PODSERVE, ['up', '--pods', '--state', host.data], { env: PODMAN_ENV });
  await running.says(/^certificates +starting/m, 60_000);
  running.child.kill('SIGINT');
  const { code, stderr } = await running.done;
  assert.equal(code, 1);
  assert.match(
    stderr,
    /Stopped before all was up\. These were left: certificates \(running\)\.\n.*up --pods.* goes on from here, .*down.* ends them\.\n$/,
  );
  assert.equal((await ids(host)).has('web'), false);
});

test('a taken port is one line with its holder, and certificates stays up', async (t) => {
  const host = await podHost(t);
  const blocker = createServer();
  const listening = Promise.withResolvers<void>();
  blocker.listen(443, '127.0.0.1', listening.resolve);
  await listening.promise;
  t.after(() => blocker.close());
  const { code, stderr } = await up(host);
  assert.equal(code, 1);
  assert.match(
    stderr,
    new RegExp(
      `^podserve: port 443 is taken: 0\\.0\\.0\\.0:443: .* \\(process ${process.pid}\\) listens there; stop it, or set hostPort in ${DEPLOY}/web\\.yaml`,
    ),
  );
  assert.deepEqual([...(await ids(host)).keys()].includes('web'), false);
});

test('what podman itself refuses is one line with the remedy: limits, users of its own, no podman', async (t) => {
  const host = await podHost(t);
  const conf = join(host.data, 'containers.conf');
  const given = readFileSync(PODMAN_ENV['CONTAINERS_CONF'] ?? '', 'utf8');
  const attempt = async (text: string, env: Record<string, string> = {}): Promise<Finished> => {
    writeFileSync(conf, text);
    return host.podserve(['up', '--pods', '--state', host.data], { env: { ...PODMAN_ENV, CONTAINERS_CONF: conf, ...env } });
  };
  const users = await attempt(given.replace('[containers]', '[containers]\nuserns = "auto"'));
  assert.match(
    users.stderr,
    /^podserve: the pods could not share their data: --userns=auto gives each pod users of its own: .*; take userns out of containers\.conf\n$/,
  );
  const limits = await attempt(given.replace(/default_ulimits.*/, 'default_ulimits = ["nofile=99999999:99999999"]'));
  assert.match(
    limits.stderr,
    /^podserve: pod certificates could not be started: this host allows fewer open files .*; write default_ulimits = \["nofile=\d+/,
  );
  const runtime = await attempt(given.replace('"runc"', '"nonesuch"'));
  assert.match(runtime.stderr, /the container runtime is missing .*; apt-get install runc/);
  const programs = scratchDirectory(t);
  symlinkSync('/usr/bin/dirname', join(programs, 'dirname'));
  const missing = await attempt(given, { PATH: programs });
  rmSync(conf);
  assert.match(
    missing.stderr,
    /^podserve: pods need podman, and it is not installed: there is none on the search path; install it \(apt-get install podman /,
  );
  assert.deepEqual([users.code, limits.code, runtime.code, missing.code], [1, 1, 1, 1]);
});
