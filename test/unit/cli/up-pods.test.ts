import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { podserve, type Finished } from '../../support/command.ts';
import { fakePodman, publishSomething, type FakePodman } from '../../support/fake-podman.ts';
import { scratchDirectory } from '../../support/scratch.ts';

interface Place {
  readonly directory: string;
  readonly fake: FakePodman;
  readonly podserve: (...args: string[]) => Promise<Finished>;
}

/** A directory where somebody calls podserve with a podman that only plays it; without the ports of this host. */
function place(t: TestContext): Place {
  const directory = scratchDirectory(t);
  const fake = fakePodman(t);
  const deploy = join(directory, 'deploy');
  mkdirSync(deploy);
  for (const file of ['certificates', 'web', 'consumer', 'settings']) {
    const shipped = readFileSync(new URL(`../../../deploy/${file}.yaml`, import.meta.url), 'utf8');
    writeFileSync(join(deploy, `${file}.yaml`), shipped.replaceAll(/, hostPort: \d+/g, ''));
  }
  publishSomething(join(directory, 'data', 'certificates'));
  return { directory, fake, podserve: (...args) => podserve(args, { cwd: directory, env: fake.env }) };
}

test('options of pods without --pods, and lengths of time that are none, are refused with exit code 2', async (t) => {
  const { podserve: call } = place(t);
  const alone = await call('up', '--deploy', 'deploy');
  assert.deepEqual([alone.code, alone.stderr], [2, 'podserve: --deploy is for pods; give --pods too\n']);
  const never = await call('up', '--pods', '--timeout', 'soon');
  assert.deepEqual([never.code, never.stderr], [2, 'podserve: "soon" is no length of time: --timeout; give one like 60s\n']);
});

test('one line a step without a terminal, and as JSON the report alone on standard output', async (t) => {
  const { directory, podserve: call } = place(t);
  const first = await call('up', '--pods', '--deploy', 'deploy');
  assert.match(first.stdout, /^certificates {2}starting\ncertificates {2}ready after [\d.]+ s\nweb {11}starting\nweb {11}ready/);
  const json = await call('up', '--pods', '--deploy', 'deploy', '--json');
  const report = JSON.parse(json.stdout) as { ok: boolean; data: string; pods: { name: string; outcome: string }[] };
  assert.deepEqual([json.code, report.ok, report.data], [0, true, join(directory, 'data')]);
  assert.deepEqual(new Set(report.pods.map(({ outcome }) => outcome)), new Set(['unchanged']));
  assert.match(json.stderr, /^certificates {2}runs already, unchanged$/m);
});

test('--without-consumer leaves it out; down ends only the pods of this directory', async (t) => {
  const { directory, fake, podserve: call } = place(t);
  assert.equal((await call('up', '--pods', '--deploy', 'deploy', '--without-consumer')).code, 0);
  assert.deepEqual([fake.has('pod-web'), fake.has('pod-consumer')], [true, false]);
  const other = await call('down', '--state', 'elsewhere');
  assert.equal(
    other.stdout,
    `nothing runs in ${directory}/elsewhere\npods run with ${directory}/data: podserve down --state ${directory}/data ends them\n`,
  );
  assert.ok(fake.has('pod-web'));
  const down = await call('down', '--json');
  assert.deepEqual(JSON.parse(down.stdout), { state: join(directory, 'data'), stopped: true, pid: null, pods: ['web', 'certificates'] });
  assert.deepEqual([fake.has('pod-web'), existsSync(join(directory, 'data', 'certificates'))], [false, true]);
});

test('podserve.yaml here is put where the pods read it; one that lies there is replaced by --config alone', async (t) => {
  const { directory, podserve: call } = place(t);
  const [here, there] = [join(directory, 'podserve.yaml'), join(directory, 'data', 'config', 'podserve.yaml')];
  const up = (...more: string[]): Promise<Finished> => call('up', '--pods', '--deploy', 'deploy', ...more);
  writeFileSync(here, 'domain: one.example.org\n');
  assert.match((await up()).stdout, /^settings {6}.*podserve\.yaml is now .*data\/config\/podserve\.yaml, which the pods read$/m);
  assert.equal(readFileSync(there, 'utf8'), 'domain: one.example.org\n');
  writeFileSync(here, 'domain: two.example.org\n');
  assert.match(
    (await up()).stdout,
    /ATTENTION: the pods read .*data\/config\/podserve\.yaml, and .* is another: .*up --pods --config .* puts it there/,
  );
  assert.equal(readFileSync(there, 'utf8'), 'domain: one.example.org\n');
  const given = await up('--config', 'podserve.yaml');
  assert.equal(readFileSync(there, 'utf8'), 'domain: two.example.org\n');
  assert.match(given.stdout, /^certificates {2}reads .* again$/m);
  writeFileSync(here, 'domian: three.example.org\n');
  const wrong = await up('--config', 'podserve.yaml');
  assert.equal(wrong.code, 2);
  assert.equal(readFileSync(there, 'utf8'), 'domain: two.example.org\n');
});

test('a configuration that the service in the pod refuses is told to none, and asked again next time', async (t) => {
  const { directory, fake, podserve: call } = place(t);
  const up = (): Promise<Finished> => call('up', '--pods', '--deploy', 'deploy');
  await up();
  mkdirSync(join(directory, 'data', 'config'), { recursive: true });
  writeFileSync(join(directory, 'data', 'config', 'podserve.yaml'), 'anything\n');
  fake.put('bad-config', 'podserve: the configuration is wrong: /data/config/podserve.yaml\n');
  fake.calls();
  const wrong = await up();
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.stdout,
    /ATTENTION: the pods go on with the configuration that they have: .*: the configuration is wrong: \/data\/config/,
  );
  assert.deepEqual(
    fake.calls().filter((one) => one.startsWith('kill')),
    [],
  );
  fake.remove('bad-config');
  assert.equal((await up()).code, 0);
  assert.deepEqual(
    fake
      .calls()
      .filter((one) => one.startsWith('kill'))
      .toSorted(),
    ['kill --signal HUP certificates-certificates', 'kill --signal HUP web-apache'],
  );
  await up();
  assert.deepEqual(
    fake.calls().filter((one) => one.startsWith('kill')),
    [],
  );
});

test('what runs without pods does not depend on podman: status, down and logs work where it fails', async (t) => {
  const { fake, podserve: call } = place(t);
  writeFileSync(join(fake.env['PATH']?.split(':')[0] ?? '', 'podman'), '#!/bin/sh\necho "Error: it is broken" >&2\nexit 125\n');
  const down = await call('down');
  assert.equal(down.code, 0);
  assert.match(down.stdout, /^nothing runs in /);
  assert.match(down.stderr, /^podserve: whether pods run could not be seen: the pods could not be listed: it is broken; /);
  assert.match((await call('status')).stdout, /^nothing runs in [^]*whether pods run could not be seen: /);
  assert.match((await call('logs')).stderr, /^podserve: there is no log here: /);
  const pods = await call('up', '--pods', '--deploy', 'deploy');
  assert.deepEqual(
    [pods.code, pods.stderr],
    [1, 'podserve: the pods could not be listed: it is broken; podserve doctor --pods looks at what podman needs of this host\n'],
  );
});

test('doctor finds podman broken: a problem where pods are wanted, a warning elsewhere', async (t) => {
  const { fake, podserve: call } = place(t);
  fake.put(
    'info',
    JSON.stringify({ version: { Version: '2.0.0' }, host: { ociRuntime: { name: 'runc' }, networkBackend: 'netavark', security: {} } }),
  );
  const wanted = await call('doctor', '--pods');
  assert.equal(wanted.code, 1);
  assert.match(wanted.stdout, /^PROBLEM {2}pods: podman 2\.0\.0: the pods need 4\.3$/m);
  const other = await call('doctor');
  assert.match(other.stdout, /^warning {2}pods: podman 2\.0\.0: the pods need 4\.3$/m);
  assert.match(other.stdout, /^good {5}pods: the images are there$/m);
  assert.equal(other.code, 0, other.stdout);
});
