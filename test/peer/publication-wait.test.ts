import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { leafSha256 } from '../../src/certificate/bundle.ts';
import { makeBundle } from '../support/bundles.ts';
import { PODSERVE, podserve, run, start } from '../support/command.ts';
import { publishOne } from '../support/publishing.ts';
import { randomStream, scaled } from '../support/scale.ts';
import { scratchDirectory } from '../support/scratch.ts';

/** What a container's entry point would do, and what a daemon would read right after it. */
const SHELL_LOOP = `
cd "$1" || exit 2
until [ -f cert.pem ] && [ -f privkey.pem ]; do :; done
[ "$(openssl x509 -in cert.pem -noout -pubkey)" = "$(openssl pkey -in privkey.pem -pubout)" ] || exit 1
cat fullchain.pem chain.pem combined.pem manifest.json > /dev/null`;

test('a shell loop that waits for cert.pem and privkey.pem finds a whole pair, at the top and in the directory', async (t) => {
  const random = randomStream('shell loop');
  for (let count = 0; count < scaled(200); count += 1) {
    const root = scratchDirectory(t);
    const directory = count % 2 === 0 ? root : join(root, 'default');
    mkdirSync(directory, { recursive: true });
    const loop = run('sh', ['-c', SHELL_LOOP, 'sh', directory]);
    await pause(random() * 20);
    await publishOne(root, 'default', { bundle: await makeBundle({ chain: 1 }) });
    const { code, stderr } = await loop;
    assert.equal(code, 0, stderr);
  }
});

describe('podserve wait-for-certs', () => {
  test('says what it waits for, returns when it is there, and prints it', async (t) => {
    const root = join(scratchDirectory(t), 'certificates');
    const waiting = start(t, PODSERVE, ['wait-for-certs', '--dir', root, '--timeout', '30']);
    await waiting.says(/waiting for a certificate: .*certificates does not exist/);
    await publishOne(root, 'default', { bundle: await makeBundle({ names: ['www.example.org'] }), issuer: 'house' });
    const published = performance.now();
    const { code, stdout } = await waiting.done;
    assert.equal(code, 0);
    assert.ok(performance.now() - published < 2000);
    assert.match(
      stdout,
      /^default: generation 1 of house for www\.example\.org, expires 20\d\d-\d\d-\d\d .* \(in \d+ days\), in .*\/default\/\.\.gen-000001$/m,
    );
  });

  test('finds the publication in the state directory, and tells programs in JSON', async (t) => {
    const state = scratchDirectory(t);
    const bundle = await makeBundle();
    await publishOne(join(state, 'certificates'), 'shop', { bundle });
    const byState = await podserve(['wait-for-certs', '--state', state, '--name', 'shop', '--json', '--timeout', '5']);
    assert.equal(byState.code, 0, byState.stderr);
    const found = JSON.parse(byState.stdout) as { name: string; generation: number; leafSha256: string; directory: string };
    assert.deepEqual([found.name, found.generation, found.leafSha256], ['shop', 1, leafSha256(bundle.leaf)]);
    assert.equal(found.directory, join(state, 'certificates', 'shop', '..gen-000001'));
  });

  test('gives up in time with the reason, and exit code 1', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    writeFileSync(join(root, 'default', '..data', 'combined.pem'), '');
    const { code, stderr } = await podserve(['wait-for-certs', '--dir', root, '--timeout', '0.3']);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /no complete certificate appeared within 0\.3 s: .*combined\.pem: it is not privkey\.pem followed by fullchain\.pem.*--timeout/s,
    );
  });

  for (const args of [
    ['--timeout', 'soon'],
    ['--timeout', ''],
    ['--timeout', '-1'],
    ['--name', '../etc'],
    ['--name', 'x'.repeat(300)],
    ['extra'],
    ['--unknown'],
  ]) {
    test(`refuses ${args.join(' ').slice(0, 40)} with exit code 2 and one line`, async (t) => {
      const { code, stdout, stderr } = await podserve(['wait-for-certs', '--dir', scratchDirectory(t), ...args]);
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
      assert.ok(stderr.length < 400);
    });
  }

  test('ends at SIGTERM', async (t) => {
    const waiting = start(t, PODSERVE, ['wait-for-certs', '--dir', scratchDirectory(t)]);
    await waiting.says(/waiting for a certificate/);
    waiting.child.kill('SIGTERM');
    const { code, stderr } = await waiting.done;
    assert.notEqual(code, 0);
    assert.doesNotMatch(stderr, / at .*\.ts:\d+/, 'no stack for a signal');
  });
});
