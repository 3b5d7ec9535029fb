import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test, type TestContext } from 'node:test';

import { command } from '../../../../src/cli/images.ts';
import type { Context } from '../../../../src/cli/command.ts';
import { systemClock } from '../../../../src/platform/clock.ts';
import { buildImages, missingImages, type BuildReport } from '../../../../src/services/pods/images.ts';
import type { Podman, PodmanAnswer } from '../../../../src/services/pods/podman.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

const DEBIAN = 'docker.io/library/debian:trixie-slim';
const MADE = 'localhost/podserve-debian:trixie';

/** A podman whose images are a table: building, pulling and importing puts one there. */
interface FakePodman extends Podman {
  readonly images: Map<string, { name: string; id: string; inputs: string }>;
  readonly calls: string[];
  buildFails: readonly string[] | undefined;
}

function last(args: readonly string[]): string {
  return args.at(-1) ?? '';
}

function fakePodman(here: readonly string[], registry: 'answers' | 'refuses' | 'is silent'): FakePodman {
  const images = new Map(here.map((name) => [name, { name, id: `id-of-${name}`, inputs: '' }]));
  const calls: string[] = [];
  const put = (name: string, inputs = ''): void => void images.set(name, { name, id: `id${calls.length}-of-${name}`, inputs });
  async function ask(args: readonly string[], { timeoutMs = 0 } = {}): Promise<PodmanAnswer> {
    calls.push(args.join(' '));
    if (args[0] === 'manifest') {
      if (registry === 'is silent') throw new Error(`not within ${timeoutMs}`);
      return { code: registry === 'answers' ? 0 : 125, stdout: '', stderr: 'Error: pinging registry: dial tcp: no such host\n' };
    }
    if (args[0] === 'pull' || args[0] === 'import') put(last(args));
    if (args[0] === 'image' && args[1] === 'inspect') {
      const found = args.flatMap((name) => images.get(name) ?? []);
      const code = args.slice(2).every((name) => name.startsWith('-') || name.startsWith('{') || images.has(name)) ? 0 : 125;
      if (args.includes('--format')) return { code, stdout: `${found[0]?.id}\n`, stderr: '' };
      const shown = found.map(({ name, id, inputs }) => ({ Id: id, RepoTags: [name], Labels: { 'io.podserve.inputs': inputs } }));
      return { code, stdout: JSON.stringify(shown), stderr: '' };
    }
    return { code: 0, stdout: '', stderr: '' };
  }
  const fake: FakePodman = {
    images,
    calls,
    buildFails: undefined,
    ask,
    run: async (_what, args, limits) => (await ask(args, limits)).stdout,
    async follow(args, line) {
      calls.push(args.join(' '));
      fake.buildFails?.forEach(line);
      if (fake.buildFails !== undefined) return 1;
      put(args[args.indexOf('--tag') + 1] ?? '', args.find((arg) => arg.startsWith('INPUTS='))?.slice(7));
      return 0;
    },
  };
  return fake;
}

interface Wish {
  readonly base?: string;
  readonly fresh?: boolean;
  readonly path?: string;
  readonly signal?: AbortSignal;
}

async function build(podman: Podman, { path, signal, ...wish }: Wish = {}): Promise<BuildReport & { said: string[] }> {
  const said: string[] = [];
  const env = { ...process.env, ...(path === undefined ? {} : { PATH: path }) };
  const say = (line: string): void => void said.push(line);
  const report = await buildImages({ podman, env, clock: systemClock, say, signal: signal ?? new AbortController().signal, ...wish });
  return { ...report, said };
}

test('all images are built, each after what it stands on, and nothing is built again from the same', async () => {
  const podman = fakePodman([DEBIAN], 'answers');
  assert.deepEqual(await missingImages(podman, new AbortController().signal), ['runtime', 'base', 'certificates', 'apache']);
  const first = await build(podman);
  assert.deepEqual(first.built, ['runtime', 'base', 'certificates', 'apache', 'mail']);
  assert.deepEqual(first.base, { name: DEBIAN, id: `id-of-${DEBIAN}`, how: 'here already' });
  assert.deepEqual(await missingImages(podman, new AbortController().signal), []);
  const again = await build(podman);
  assert.deepEqual(again.built, []);
  assert.deepEqual(again.said, []);
});

test('another base, a lost image or --fresh builds what stands on it again', async () => {
  const podman = fakePodman([DEBIAN, 'localhost/other:1'], 'answers');
  await build(podman);
  assert.deepEqual((await build(podman, { base: 'localhost/other:1' })).built, ['runtime', 'base', 'certificates', 'apache', 'mail']);
  await build(podman);
  podman.images.delete('localhost/podserve-harmony-apache:latest');
  assert.deepEqual((await build(podman)).built, ['apache', 'mail']);
  podman.images.delete('localhost/podserve-harmony-base:latest');
  assert.deepEqual((await build(podman)).built, ['base', 'certificates', 'apache', 'mail']);
  const fresh = await build(podman, { fresh: true });
  assert.deepEqual(fresh.built, ['runtime', 'base', 'certificates', 'apache', 'mail']);
  assert.equal(fresh.base.how, 'pulled');
});

test('a registry in reach gives the base, and one that is asked for by name is pulled without a look', async () => {
  const podman = fakePodman([], 'answers');
  assert.equal((await build(podman)).base.how, 'pulled');
  const given = fakePodman([], 'is silent');
  assert.deepEqual((await build(given, { base: 'registry.test/debian:13' })).base.name, 'registry.test/debian:13');
  assert.ok(given.calls.includes('pull --quiet registry.test/debian:13'));
});

test('a base that was made here before is taken without asking any registry', async () => {
  const podman = fakePodman([MADE], 'is silent');
  assert.equal((await build(podman)).base.name, MADE);
  assert.deepEqual(
    podman.calls.filter((call) => call.startsWith('manifest')),
    [],
  );
});

test('without a registry and without mmdebstrap, what to install is said, and no registry is waited for', async (t) => {
  for (const registry of ['refuses', 'is silent'] as const) {
    await assert.rejects(build(fakePodman([], registry), { path: scratchDirectory(t) }), {
      code: 'IMAGE_FAILED',
      exitCode: 1,
      why: registry === 'refuses' ? /\(no such host\), and mmdebstrap is not installed/ : /did not answer within 8 s/,
      remedy: /apt-get install mmdebstrap debian-archive-keyring, or give .* --base IMAGE/,
    });
  }
});

test('a build that fails shows the last lines of podman and why, and leaves nothing in the temporary directory', async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('podserve-images-'));
  const podman = fakePodman([DEBIAN], 'answers');
  podman.buildFails = ['STEP 1/3: FROM debian', 'E: Unable to locate package catatonitt', 'Error: while running runtime: exit status 100'];
  await assert.rejects(build(podman), {
    code: 'IMAGE_FAILED',
    message: 'localhost/podserve-harmony-runtime:latest could not be built',
    problems: podman.buildFails,
  });
  assert.deepEqual(
    readdirSync(tmpdir()).filter((name) => name.startsWith('podserve-images-')),
    before,
  );
});

test('a build that is asked to stop stops before the next image', async () => {
  const stop = new AbortController();
  const podman = fakePodman([DEBIAN], 'answers');
  const following: Podman = {
    ...podman,
    async follow(...call) {
      stop.abort();
      return podman.follow(...call);
    },
  };
  await assert.rejects(build(following, { signal: stop.signal }), { name: 'AbortError' });
  assert.equal(podman.images.size, 2);
});

async function runImages(t: TestContext, words: readonly string[], values: Record<string, string | boolean> = {}): Promise<number> {
  const context: Context = {
    env: { PATH: scratchDirectory(t) },
    cwd: '/',
    clock: systemClock,
    signal: new AbortController().signal,
    onHangup: () => () => undefined,
    out: () => undefined,
    err: () => undefined,
    interactive: false,
  };
  return command.run({ values, positionals: words }, context);
}

test('what podserve images does not know is wrong usage', async (t) => {
  for (const words of [[], ['bild'], ['build', 'apache'], ['list', 'all']]) {
    await assert.rejects(runImages(t, words), { code: 'USAGE', why: /it takes build, .* or list/ });
  }
  await assert.rejects(runImages(t, ['list'], { fresh: true }), { code: 'USAGE' });
});

test('without podman, images build and list say what to install', async (t) => {
  for (const word of ['build', 'list']) {
    await assert.rejects(runImages(t, [word]), { code: 'PODMAN_MISSING', exitCode: 1, remedy: /apt-get install podman/ });
  }
});
