import assert from 'node:assert/strict';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { run, start, type Finished, type RunOptions } from '../support/command.ts';
import { getPage } from '../support/page.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What an installation reads. */
const NEEDED = ['scripts', 'package.json', 'package-lock.json', '.npmrc'];
const LEFT_OUT = new Set(['node_modules', '.git', 'data', 'dist']);

/** What a clone holds: the checkout without what is made in it. */
function freshClone(t: TestContext): string {
  const clone = join(scratchDirectory(t), 'clone');
  cpSync(root, clone, { recursive: true, filter: (path) => path === root || !LEFT_OUT.has(basename(path)) });
  return clone;
}

/** The host's own npm and Node, and nothing that the npm around this test has set, but the registry's settings. */
function hostEnvironment(): Record<string, string | undefined> {
  const inherited = Object.keys(process.env).filter((name) =>
    /^npm_(?!config_(registry|cafile|cache|proxy|https_proxy|userconfig)$)/i.test(name),
  );
  const path = (process.env['PATH'] ?? '').split(':').filter((directory) => !directory.includes('node_modules'));
  return { ...Object.fromEntries(inherited.map((name) => [name, undefined])), NODE_OPTIONS: undefined, PATH: path.join(':') };
}

function npmStart(clone: string): ['npm', string[], RunOptions] {
  return ['npm', ['start'], { cwd: clone, env: hostEnvironment() }];
}

/** `scripts/install` alone, as npm would run it with another version of itself. */
function install(clone: string, env: Record<string, string>): Promise<Finished> {
  return run('sh', ['scripts/install'], { cwd: clone, env: { ...hostEnvironment(), ...env } });
}

test('npm start in a fresh clone installs, serves the page with its own certificate, and starts again in under 2 s', async (t) => {
  const clone = freshClone(t);
  const [page, admin, certificates] = [await freePort(), await freePort(), await freePort()];
  writeFileSync(
    join(clone, 'podserve.yaml'),
    `certificateService: { status: '127.0.0.1:${certificates}' }\nadmin: { listen: 'localhost:${page}', status: '127.0.0.1:${admin}' }\n`,
  );
  const began = performance.now();
  const first = start(t, ...npmStart(clone));
  await first.says(/is up/, 180_000);
  t.diagnostic(`first start: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  const ca = readFileSync(join(clone, 'data/certificates/ca.pem'), 'utf8');
  assert.equal((await getPage(`https://localhost:${page}/`, ca)).status, 200);
  first.child.kill('SIGINT');
  assert.equal((await first.done).code, 0, first.output());

  const again = performance.now();
  const second = start(t, ...npmStart(clone));
  await second.says(/is up/);
  const seconds = (performance.now() - again) / 1000;
  t.diagnostic(`second start: ${seconds.toFixed(2)} s`);
  assert.ok(seconds < 2, `${seconds} s`);
  assert.doesNotMatch(second.output(), /installing/);
  second.child.kill('SIGTERM');
  await second.done;

  // Half an install: what a kill leaves. The next start must not trust it.
  rmSync(join(clone, 'node_modules/.podserve-installed'));
  rmSync(join(clone, 'node_modules/yaml'), { recursive: true });
  const mended = await install(clone, {});
  assert.equal(mended.code, 0, mended.stderr);
  assert.ok(existsSync(join(clone, 'node_modules/yaml/package.json')));
});

test('two starts at once in a fresh clone install once, and both have all', async (t) => {
  const clone = freshClone(t);
  const both = await Promise.all([install(clone, {}), install(clone, {})]);
  for (const { code, stderr } of both) assert.equal(code, 0, stderr);
  assert.equal(both.filter(({ stderr }) => /installing \d+ locked/.test(stderr)).length, 1);
  assert.equal((await run(join(clone, 'bin/podserve'), ['--version'])).code, 0);
});

test('what keeps an installation from working is one clear line', async (t) => {
  const clone = freshClone(t);
  const says = async (env: Record<string, string>, pattern: RegExp): Promise<void> => {
    const { code, stderr } = await install(clone, env);
    assert.equal(code, 1);
    const lines = stderr.split('\n').filter((line) => line !== '' && !/installing \d+ locked packages/.test(line));
    assert.equal(lines.length, 1, stderr);
    assert.match(lines[0] ?? '', pattern);
  };
  await says({ npm_config_user_agent: 'npm/8.19.4 node/v16.20.2 linux x64' }, /npm 8\.19\.4 is too old: 9\.2 or newer/);
  await says(
    { npm_config_registry: 'http://127.0.0.1:9/', npm_config_cache: join(clone, '.cache') },
    /registry http:\/\/127\.0\.0\.1:9\/ was not reached \(ECONNREFUSED\)/,
  );

  const small = join(clone, 'small');
  mkdirSync(small);
  assert.equal((await run('mount', ['-t', 'tmpfs', '-o', 'size=50m', 'podserve-test', small])).code, 0);
  try {
    for (const part of NEEDED) cpSync(join(clone, part), join(small, part), { recursive: true });
    const full = await install(small, {});
    assert.match(full.stderr, /the disk is full: \d+ MiB are free at \S+\/small, and 500 are needed\n$/);
    assert.equal((await run('mount', ['-o', 'remount,ro', small])).code, 0);
    const readOnly = await install(small, {});
    assert.match(readOnly.stderr, /cannot install into \S+\/small: the file system is read-only/);
    assert.deepEqual(readdirSync(small).toSorted(), NEEDED.toSorted());
  } finally {
    await run('umount', [small]);
  }
});

test('another user who may not write into the clone is told so', async (t) => {
  const clone = freshClone(t);
  chmodSync(join(clone, '..'), 0o755);
  const env = { ...hostEnvironment(), HOME: '/tmp' };
  const { code, stderr } = await run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', 'scripts/install'], {
    cwd: clone,
    env,
  });
  assert.equal(code, 1);
  assert.match(stderr, /^PodServe: cannot install into \S+: this user may not write there; run it from a directory that you own\n$/);
});
