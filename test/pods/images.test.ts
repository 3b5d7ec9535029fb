import assert from 'node:assert/strict';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { BuildReport } from '../../src/services/pods/images.ts';
import type { ImageReport } from '../../src/services/pods/image-sizes.ts';
import { PODSERVE, podserve, run, start, type Finished } from '../support/command.ts';
import { PODMAN_ENV, eventually } from '../support/pods.ts';
import { scratchDirectory } from '../support/scratch.ts';

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));
const PREFIX = 'localhost/podserve-harmony-';
const IMAGES = ['base', 'certificates', 'apache'] as const;
/** As Kubernetes has them: nothing is writable but what is named. */
const LOCKED = ['--read-only', '--read-only-tmpfs=false', '--tmpfs', '/tmp', '--cap-drop=all', '--security-opt=no-new-privileges'];

type Built = BuildReport & { readonly ms: number; readonly together: number; readonly images: readonly ImageReport[] };

function podman(...args: readonly string[]): Promise<Finished> {
  return run('podman', args, { env: PODMAN_ENV });
}

async function must(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await podman(...args);
  assert.equal(code, 0, `podman ${args.join(' ')}: ${stderr}${stdout}`);
  return stdout.trim();
}

async function build(...options: readonly string[]): Promise<Built> {
  const { code, stdout, stderr } = await podserve(['images', 'build', '--json', ...options], { env: PODMAN_ENV });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Built;
}

/** A container of an image that ends with the test. */
async function container(t: TestContext, image: string, ...options: readonly string[]): Promise<string> {
  const id = await must('run', '--detach', ...options, `${PREFIX}${image}`);
  t.after(() => podman('rm', '--force', '--time', '0', id));
  return id;
}

/** A shell command in a container of its own. */
function shell(image: string, command: string, ...options: readonly string[]): Promise<string> {
  return must('run', '--rm', '--network=none', '--entrypoint=bash', ...options, `${PREFIX}${image}`, '-c', command);
}

function imageIds(): Promise<string> {
  return must('images', '--quiet', '--filter', `reference=${PREFIX}*`);
}

/** Those in the middle of a build too. */
function containerNames(): Promise<string> {
  return must('ps', '--all', '--external', '--format', '{{.Names}}');
}

function stateDirectory(t: TestContext): string {
  const state = scratchDirectory(t);
  for (const part of ['certificates', 'authority', 'challenges']) mkdirSync(join(state, part));
  return state;
}

async function certificateService(t: TestContext, state: string): Promise<string> {
  return container(
    t,
    'certificates',
    ...LOCKED,
    '--cap-add=CHOWN,FOWNER,DAC_OVERRIDE',
    ...['certificates', 'authority', 'challenges'].map((part) => `--volume=${state}/${part}:/data/state/${part}`),
  );
}

let built: Built;
before(async () => {
  built = await build();
});

test('building again makes nothing that is there already, and says so within seconds', async () => {
  const again = await build();
  assert.deepEqual(again.built, []);
  assert.deepEqual(
    again.images.map(({ id }) => id),
    built.images.map(({ id }) => id),
  );
  assert.ok(again.ms < 15_000, `${again.ms} ms`);
});

test('every image says its version, revision, title and what it needs to write', async () => {
  assert.match(built.revision, /^(?:[0-9a-f]{40}(?:-modified)?|unknown)$/);
  for (const image of IMAGES) {
    const [{ Labels: labels } = { Labels: {} }] = JSON.parse(await must('image', 'inspect', PREFIX + image)) as {
      Labels: Record<string, string>;
    }[];
    assert.equal(labels['org.opencontainers.image.title'], `podserve-harmony-${image}`);
    assert.equal(labels['org.opencontainers.image.version'], built.version);
    assert.equal(labels['org.opencontainers.image.revision'], built.revision);
    assert.notEqual(labels['org.opencontainers.image.source'], undefined);
    assert.match(labels['io.podserve.writable'] ?? '', /\/tmp/);
  }
});

test('the images share one layer of Debian and one of Node, and hold nothing that only a build or a reader needs', async (t) => {
  const [runtime, ...images] = built.images;
  for (const { name, layers } of images) {
    assert.deepEqual(layers.slice(0, runtime?.layers.length), runtime?.layers, name);
  }
  const unwanted = [
    'find / -xdev ! -type d \\( -name npm -o -name npx -o -name cc -o -name gcc -o -name strip -o -name "*.ts" -o -name "*.test.*" \\)',
    'find /usr/share/man /usr/share/locale /var/lib/apt/lists /var/cache/apt /var/log -type f',
    'find /usr/share/doc -type f ! -name copyright',
  ];
  for (const image of IMAGES) assert.equal(await shell(image, `{ ${unwanted.join('; ')}; } 2>/dev/null; true`, '--user=0'), '', image);
  for (const { name, size } of images) t.diagnostic(`${name}: ${(size / 1e6).toFixed(1)} MB`);
  t.diagnostic(`together ${(built.together / 1e6).toFixed(1)} MB, on ${built.base.name} (${built.base.how})`);
  // A quarter of it is mail, whose image is made for those alone who ask for it.
  assert.ok(built.together < 380e6, `${built.together} bytes`);
});

test('podserve starts in each image from a compile cache that was filled at the build', async (t) => {
  for (const image of IMAGES) {
    for (const user of [0, 33]) {
      const options = [...LOCKED, `--user=${user}`];
      assert.equal(await must('run', '--rm', '--network=none', ...options, PREFIX + image, '--version'), built.version);
      const said = await shell(image, 'NODE_DEBUG_NATIVE=COMPILE_CACHE podserve --version 2>&1', ...options);
      assert.match(said, /podserve\.cjs.* was accepted/, `${image} as ${user}`);
    }
  }
  const times = await shell('base', 'TIMEFORMAT=%R; for i in 1 2 3 4 5; do time podserve --version >/dev/null; done 2>&1');
  t.diagnostic(`podserve --version: ${times.split('\n').toSorted()[2]} s, median of five`);
});

test('the programs in all images are those of the lock file and of this checkout', async () => {
  const digest = (image: string): Promise<string> =>
    shell(image, 'sha256sum /usr/local/lib/podserve/podserve.cjs /usr/local/bin/podserve /usr/local/bin/node', '--user=0');
  const ofBase = await digest('base');
  for (const image of IMAGES) assert.equal(await digest(image), ofBase, image);
  const lock = JSON.parse((await run('cat', [join(CHECKOUT, 'package-lock.json')])).stdout) as {
    packages: Record<string, { version: string }>;
  };
  const version = lock.packages[`node_modules/node-linux-${process.arch}`]?.version;
  assert.equal(await shell('apache', 'node --version'), `v${version}`);
});

test('one checkout gives the same layers each time', async (t) => {
  const context = join(scratchDirectory(t), 'base');
  cpSync(join(CHECKOUT, 'images/base'), context, { recursive: true });
  const bundle = await run(process.execPath, [join(CHECKOUT, 'scripts/build-bundle.ts'), join(context, 'podserve.cjs')]);
  assert.equal(bundle.code, 0, bundle.stderr);
  const layers: string[] = [];
  for (const tag of ['localhost/podserve-again:1', 'localhost/podserve-again:2']) {
    await must('build', '--quiet', '--no-cache', '--network=host', '--timestamp=1700000000', '--tag', tag, context);
    t.after(() => podman('image', 'rm', '--force', tag));
    layers.push(await must('image', 'inspect', '--format', '{{json .RootFS.Layers}}', tag));
  }
  assert.equal(layers[0], layers[1]);
});

test('a build that is ended leaves the images as they were, and no container', async (t) => {
  const earlier = [await imageIds(), await containerNames()];
  const fresh = start(t, PODSERVE, ['images', 'build', '--fresh', '--base', built.base.name], { env: PODMAN_ENV });
  await eventually(async () => (await containerNames()).includes('working-container'), 'a step of the build runs');
  fresh.child.kill('SIGTERM');
  const { code, stderr } = await fresh.done;
  assert.equal(code, 1);
  assert.match(stderr, /stopped before it was done/);
  assert.deepEqual([await imageIds(), await containerNames()], earlier);
});

test('process 1 of every image reaps the orphans of others, which podserve as process 1 would not', async (t) => {
  const zombies = async (id: string): Promise<string> => {
    await must('exec', id, 'bash', '-c', '(sleep 0.1 &)');
    await must('exec', id, 'sleep', '0.6');
    return must('exec', id, 'bash', '-c', "grep -l '^State:.*zombie' /proc/[0-9]*/status; true");
  };
  for (const image of ['certificates', 'apache']) assert.equal(await zombies(await container(t, image)), '', image);
  const bare = await must('run', '--detach', '--entrypoint=["podserve","certificates","--mode","cron"]', `${PREFIX}certificates`);
  t.after(() => podman('rm', '--force', '--time', '0', bare));
  assert.match(await zombies(bare), /\/proc\/\d+\/status/);
});

test('the key group has its number in every image, with root and www-data in it', async () => {
  for (const image of IMAGES) assert.equal(await shell(image, 'getent group ssl-cert'), 'ssl-cert:x:60800:root,www-data', image);
  assert.match(await must('run', '--rm', '--entrypoint=id', `${PREFIX}apache`), /^uid=33\(www-data\).*60800\(ssl-cert\)$/);
});

test('with a read-only root, no privilege that is not named and Apache as www-data, what is published is served', async (t) => {
  const state = stateDirectory(t);
  const apache = await container(
    t,
    'apache',
    ...LOCKED,
    '--tmpfs=/run',
    '--cap-add=NET_BIND_SERVICE',
    `--volume=${state}/certificates:/etc/ssl/podserve:ro`,
    `--volume=${state}/challenges:/data/state/challenges:ro`,
  );
  const logs = async (): Promise<string> => (await podman('logs', apache)).stdout;
  await eventually(async () => (await podman('exec', apache, 'podserve-alive')).code === 0, 'Apache lives', 20_000, logs);
  const early = await podman('exec', apache, 'podserve-ready');
  assert.equal(early.code, 1);
  assert.match(early.stdout, /^HTTP\/1\.1 503.*: .*default/s);

  const certificates = await certificateService(t, state);
  await eventually(async () => (await podman('exec', certificates, 'podserve-ready')).code === 0, 'a certificate is published');
  await eventually(async () => (await podman('exec', apache, 'podserve-ready')).code === 0, 'it is served', 20_000, logs);

  const users = "grep -h '^Uid:' /proc/[0-9]*/status | sort -u; ls -ln /etc/ssl/podserve/default/..data/privkey.pem";
  const seen = await must('exec', apache, 'bash', '-c', users);
  assert.match(seen, /^Uid:\t33\t33\t33\t33\n-rw-r----- 1 0 60800 /);
  const writable =
    'find / -xdev -writable ! -type l 2>/dev/null; for d in / /data /etc/ssl/podserve /usr/local/lib/podserve /var/lib; do touch $d/x; done';
  const attempts = await podman('exec', apache, 'bash', '-c', writable);
  assert.equal(attempts.stderr.match(/Read-only file system|Permission denied/g)?.length, 5, attempts.stderr);

  for (const id of [apache, certificates]) {
    const began = Date.now();
    await must('stop', '--time', '10', id);
    assert.ok(Date.now() - began < 5000, 'it ends within 5 s of SIGTERM');
    assert.equal(await must('inspect', '--format', '{{.State.ExitCode}}', id), '0');
  }
});

test('a probe of a service that is not there fails and says so', async () => {
  for (const probe of ['podserve-alive', 'podserve-ready']) {
    const nobody = await podman('run', '--rm', '--network=none', `--entrypoint=${probe}`, '--env=PODSERVE_STATUS_PORT=9', `${PREFIX}base`);
    assert.equal(nobody.code, 1, nobody.stderr);
    assert.match(nobody.stdout + nobody.stderr, /9: Connection refused/);
  }
});

test('images list says what each layer takes', async () => {
  const { code, stdout } = await podserve(['images', 'list'], { env: PODMAN_ENV });
  assert.equal(code, 0);
  for (const image of IMAGES) assert.match(stdout, new RegExp(`^${PREFIX}${image}:latest +[\\d.]+ MB +\\d`, 'm'));
  assert.match(stdout, /^ +1\d\d\.\d MB {2}COPY … in \/usr\/local\/bin\/node$/m);
});
