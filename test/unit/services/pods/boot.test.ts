import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { statePaths, type StatePaths } from '../../../../src/config/state.ts';
import { systemClock } from '../../../../src/platform/clock.ts';
import { describeError } from '../../../../src/platform/errors.ts';
import { bootPods, type BootOptions, type BootReport } from '../../../../src/services/pods/boot.ts';
import { renderFiles } from '../../../../src/services/pods/files.ts';
import { openPodman } from '../../../../src/services/pods/podman.ts';
import { fakePodman, publishSomething, type FakePodman } from '../../../support/fake-podman.ts';
import { freePort, scratchDirectory } from '../../../support/scratch.ts';

const PODS = ['certificates', 'web', 'consumer'] as const;

const DEPLOY = fileURLToPath(new URL('../../../../deploy', import.meta.url));

interface Bench {
  readonly fake: FakePodman;
  readonly paths: StatePaths;
  /** Of the deploy directory. */
  readonly edit: (file: string, change: (text: string) => string) => void;
  readonly boot: (more?: Partial<BootOptions>) => Promise<BootReport & { readonly said: readonly string[] }>;
  /** What kube play and pod rm were asked for since the last look. */
  readonly changes: () => string[];
}

async function bench(t: TestContext): Promise<Bench> {
  const fake = fakePodman(t);
  const deploy = scratchDirectory(t);
  cpSync(DEPLOY, deploy, { recursive: true });
  const edit = (file: string, change: (text: string) => string): void =>
    writeFileSync(join(deploy, file), change(readFileSync(join(deploy, file), 'utf8')));
  const [http, https] = [await freePort(), await freePort()];
  edit('web.yaml', (text) => text.replace('hostPort: 80 ', `hostPort: ${http} `).replace('hostPort: 443 ', `hostPort: ${https} `));
  const paths = statePaths('data', scratchDirectory(t));
  publishSomething(paths.certificates);
  return {
    fake,
    paths,
    edit,
    async boot(more = {}) {
      const said: string[] = [];
      const report = await bootPods({
        podman: openPodman({ env: fake.env, clock: systemClock }),
        files: await renderFiles(deploy, paths.state, PODS),
        paths,
        clock: systemClock,
        signal: new AbortController().signal,
        network: undefined,
        timeoutMs: 10_000,
        build: () => assert.fail('nothing is missing'),
        say: (subject, what) => void said.push(`${subject}: ${what}`),
        ...more,
      });
      return { ...report, said };
    },
    changes: () =>
      fake
        .calls()
        .flatMap((call) => (/^(?:kube play|pod rm)/.test(call) ? [call.replace(/^(kube play|pod rm).*[ /](\S+)$/, '$1 $2')] : [])),
  };
}

function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => assert.fail('it should have been refused'),
    (error: unknown) => describeError(error),
  );
}

const CERTIFICATES_CONTAINER = 'certificates-certificates';

test('pods come up in boot order, each removed by name first, each file with its settings alone', async (t) => {
  const { fake, boot, paths } = await bench(t);
  const { pods, stopped } = await boot();
  assert.deepEqual(
    pods.map(({ name, outcome, ready }) => [name, outcome, ready]),
    [
      ['certificates', 'started', true],
      ['web', 'started', true],
      ['consumer', 'started', true],
    ],
  );
  assert.equal(stopped, false);
  const calls = fake.calls().filter((call) => /^(?:kube|pod rm|exec)/.test(call));
  const configmap = `--configmap ${paths.state}/deploy/settings.yaml `;
  const shapes = calls.map((call) =>
    call
      .replace(/--annotation \S+=[0-9a-f]{32} /, '')
      .replace(`${paths.state}/deploy/`, '')
      .replace(configmap, 'S '),
  );
  assert.deepEqual(shapes, [
    'pod rm -f --ignore certificates',
    `kube play --configmap settings.yaml ${paths.state}/deploy/certificates.yaml`,
    'exec certificates-certificates /usr/local/bin/podserve-ready',
    'pod rm -f --ignore web',
    `kube play --configmap settings.yaml ${paths.state}/deploy/web.yaml`,
    'exec web-apache /usr/local/bin/podserve-ready',
    'pod rm -f --ignore consumer',
    'kube play consumer.yaml',
  ]);
});

test('the next pod waits until the one before is ready', async (t) => {
  const { fake, boot } = await bench(t);
  fake.put(`unready-${CERTIFICATES_CONTAINER}`, 'HTTP/1.1 503 Service Unavailable: {"ready":false,"reasons":["it has just started"]}');
  setTimeout(() => fake.remove(`unready-${CERTIFICATES_CONTAINER}`), 2000);
  await boot();
  const calls = fake.calls();
  const asked = calls.flatMap((call, index) => (call.startsWith(`exec ${CERTIFICATES_CONTAINER}`) ? [index] : []));
  assert.ok(asked.length > 1, calls.join('\n'));
  assert.ok(calls.findIndex((call) => call.endsWith('/web.yaml')) > (asked.at(-1) ?? Infinity), calls.join('\n'));
});

test('a second call changes nothing and says so', async (t) => {
  const { boot, changes } = await bench(t);
  await boot();
  changes();
  const { pods, said } = await boot();
  assert.deepEqual(changes(), []);
  assert.deepEqual(new Set(pods.map(({ outcome }) => outcome)), new Set(['unchanged']));
  assert.deepEqual(said, ['certificates: runs already, unchanged', 'web: runs already, unchanged', 'consumer: runs already, unchanged']);
});

test('a changed file, image or setting replaces the pods that it is about, and no other', async (t) => {
  const { fake, boot, changes, edit } = await bench(t);
  await boot();
  changes();
  edit('web.yaml', (text) => text.replace('cpu: 10m', 'cpu: 11m'));
  const { said } = await boot();
  assert.deepEqual(changes(), ['pod rm web', 'kube play web.yaml']);
  assert.ok(said.includes('web: replacing it: its file, the settings or an image changed'), said.join('\n'));
  fake.put('image-localhost_podserve-harmony-certificates_latest', 'another-id');
  await boot();
  assert.deepEqual(changes(), ['pod rm certificates', 'kube play certificates.yaml']);
  edit('settings.yaml', (text) => text.replace('LOG_LEVEL: info', 'LOG_LEVEL: debug'));
  await boot();
  assert.deepEqual(changes(), ['pod rm certificates', 'kube play certificates.yaml', 'pod rm web', 'kube play web.yaml']);
  await boot({ network: 'other' });
  assert.equal(changes().length, 6);
});

test('a pod that ended, ended in part or was never started is played again, the others are left', async (t) => {
  const { fake, boot, changes } = await bench(t);
  await boot();
  for (const state of ['Exited', 'Degraded', 'Created']) {
    changes();
    fake.change('web', (text) => text.replace('"Running"', `"${state}"`));
    const { said } = await boot();
    assert.deepEqual(changes(), ['pod rm web', 'kube play web.yaml'], state);
    assert.ok(said.includes(`web: replacing it: it is ${state.toLowerCase()}`), said.join('\n'));
  }
});

test('after a start that failed half-way, the next goes on where it failed', async (t) => {
  const { fake, boot, changes } = await bench(t);
  fake.put('fail-web', 'Error: failed to start 2 containers\nno space left on device\n');
  const line = await refusal(boot());
  assert.match(line, /^pod web could not be started: the disk is full \(podman says: no space left on device\); free some space/);
  assert.deepEqual(changes().slice(-3), ['pod rm web', 'kube play web.yaml', 'pod rm web']);
  fake.remove('fail-web');
  const { pods } = await boot();
  assert.deepEqual(
    pods.map(({ outcome }) => outcome),
    ['unchanged', 'started', 'started'],
  );
});

test('a pod of that name which is not ours, or keeps its data elsewhere, is refused before anything is changed', async (t) => {
  const { fake, boot, changes } = await bench(t);
  await boot();
  changes();
  fake.change('web', (text) => text.replace('"podserve"', '"another"'));
  assert.match(
    await refusal(boot()),
    /^there is another pod of the name web: .*web\.yaml: it is none of PodServe; podman pod rm -f web removes it/,
  );
  fake.change('web', (text) =>
    text.replace('"another"', '"podserve"').replaceAll(/"Source":"[^"]+"/g, '"Source":"/srv/other/certificates"'),
  );
  assert.match(
    await refusal(boot()),
    /another pod of the name web: .*: it keeps its data in \/srv\/other; podserve down --state \/srv\/other ends it$/,
  );
  assert.deepEqual(changes(), []);
});

test('a taken port is told with its holder before the pod is touched, and is no hindrance for the pod that has it', async (t) => {
  const { boot, changes, edit } = await bench(t);
  const blocker = createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  blocker.listen(0, '127.0.0.1', resolve);
  await promise;
  const address = blocker.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  t.after(() => blocker.close());
  edit('web.yaml', (text) => text.replace(/hostPort: \d+/, `hostPort: ${port}`));
  const line = await refusal(boot());
  assert.match(
    line,
    new RegExp(
      `^port ${port} is taken: 0\\.0\\.0\\.0:${port}: .*\\(process ${process.pid}\\) listens there; stop it, or set hostPort in .*web\\.yaml`,
    ),
  );
  assert.deepEqual(changes(), ['pod rm certificates', 'kube play certificates.yaml']);
});

test('Ctrl-C starts no further pod and leaves those that run', async (t) => {
  const { fake, boot, changes } = await bench(t);
  fake.put('unready-web-apache', 'HTTP/1.1 503: {"ready":false,"reasons":["no certificate"]}');
  const stop = new AbortController();
  setTimeout(() => stop.abort('SIGINT'), 2000);
  const { stopped, pods } = await boot({ signal: stop.signal, timeoutMs: 60_000 });
  assert.equal(stopped, true);
  assert.deepEqual(
    pods.map(({ name }) => name),
    ['certificates'],
  );
  assert.deepEqual(changes(), ['pod rm certificates', 'kube play certificates.yaml', 'pod rm web', 'kube play web.yaml']);
  assert.ok(fake.has('pod-web'));
});

test('a certificate service that publishes nothing ends the boot, with its reasons and last words', async (t) => {
  const { fake, boot, changes } = await bench(t);
  fake.put(`unready-${CERTIFICATES_CONTAINER}`, 'HTTP/1.1 503: {"ready":false,"reasons":["the authority cannot be read"]}');
  fake.put(`logs-${CERTIFICATES_CONTAINER}`, 'podserve: it belongs to user 7\n');
  const line = await refusal(boot({ timeoutMs: 500, paths: statePaths('empty', scratchDirectory(t)) }));
  assert.match(
    line,
    /^pod certificates was not ready within 0\.5 s: nothing is published in .*; the authority cannot be read \(its last words: podserve: it belongs to user 7\); podserve logs certificates shows more/,
  );
  assert.deepEqual(changes(), ['pod rm certificates', 'kube play certificates.yaml']);
});

test('troubles of a service that has published something gate nothing: a CA may be down for days', async (t) => {
  const { fake, boot } = await bench(t);
  fake.put(`unready-${CERTIFICATES_CONTAINER}`, 'HTTP/1.1 503: {"ready":false,"reasons":["certificate default: expired: the CA is down"]}');
  const { pods, said } = await boot({ timeoutMs: 60_000 });
  assert.deepEqual(
    pods.map(({ name, ready }) => [name, ready]),
    [
      ['certificates', false],
      ['web', true],
      ['consumer', true],
    ],
  );
  assert.ok(said.includes('certificates: ATTENTION: not ready: certificate default: expired: the CA is down'), said.join('\n'));
});

test('missing images are built once, before any pod; one that nobody builds is named', async (t) => {
  const { fake, boot, changes } = await bench(t);
  const image = 'image-localhost_podserve-harmony-apache_latest';
  fake.remove(image);
  const asked: string[][] = [];
  const build = async (missing: readonly string[]): Promise<void> => {
    asked.push([...missing]);
    assert.deepEqual(changes(), []);
    if (asked.length > 1) fake.put(image, 'fresh');
  };
  assert.match(
    await refusal(boot({ build })),
    /^images of the pods are missing: localhost\/podserve-harmony-apache:latest: they are none of those that podserve images build makes/,
  );
  const { said } = await boot({ build });
  assert.deepEqual(asked[1], ['localhost/podserve-harmony-apache:latest']);
  assert.equal(said[0], 'images: building localhost/podserve-harmony-apache:latest');
});
