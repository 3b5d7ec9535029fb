import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { systemClock } from '../../../src/platform/clock.ts';
import { waitForCertificates } from '../../../src/publication/wait.ts';
import { makeBundle } from '../../support/bundles.ts';
import { testClock, testSignal } from '../../support/certificate-service.ts';
import { publishOne } from '../../support/publishing.ts';
import { scratchDirectory } from '../../support/scratch.ts';

describe('waiting ends at once', () => {
  for (const [title, path] of [
    ['for a publication, which stands for its certificate default', '.'],
    ['for the directory of one certificate', 'default'],
  ] as const) {
    test(title, async (t) => {
      const root = scratchDirectory(t);
      const bundle = await makeBundle({ chain: 1 });
      await publishOne(root, 'default', { bundle });
      const found = await waitForCertificates(join(root, path), { timeoutMs: 0, clock: systemClock, signal: testSignal(t) });
      assert.equal(found.bundle.leafPem, bundle.leafPem);
    });
  }

  test('for a certificate directory mounted alone under any name', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root, 'shop');
    symlinkSync(join(root, 'shop'), join(root, 'Mounted_Elsewhere'));
    const found = await waitForCertificates(join(root, 'Mounted_Elsewhere'), { timeoutMs: 0, clock: systemClock, signal: testSignal(t) });
    assert.equal(found.manifest.name, 'shop');
  });
});

test('waiting goes on until the first publication, whatever of the path is missing before', async (t) => {
  const root = join(scratchDirectory(t), 'volume', 'certificates');
  const reasons: string[] = [];
  const waiting = waitForCertificates(root, {
    timeoutMs: 20_000,
    clock: systemClock,
    signal: testSignal(t),
    onReason: (reason) => reasons.push(reason),
  });
  await systemClock.sleep(100);
  mkdirSync(join(root, 'default'), { recursive: true });
  await systemClock.sleep(400);
  await publishOne(root);
  assert.equal((await waiting).number, 1);
  assert.match(reasons[0] ?? '', /certificates does not exist/);
  assert.match(reasons[1] ?? '', /nothing is published in .*default yet \(there is no \.\.data\)/);
});

describe('the time-out says why what is there does not do', () => {
  const cases: [string, (root: string) => Promise<void>, RegExp][] = [
    ['nothing', async (root) => rmSync(root, { recursive: true }), /does not exist/],
    ['an empty directory', async () => undefined, /there is no \.\.data/],
    [
      'plain files',
      async (root) => {
        writeFileSync(join(root, 'cert.pem'), '');
        writeFileSync(join(root, 'privkey.pem'), '');
      },
      /cert\.pem, privkey\.pem in .* are plain files; the certificate service adopts them/,
    ],
    [
      'a damaged certificate',
      async (root) => {
        await publishOne(root);
        writeFileSync(join(root, 'default', '..data', 'privkey.pem'), (await makeBundle()).privateKeyPem);
      },
      /privkey\.pem: the private key does not belong to the certificate/,
    ],
    [
      'a link that leads nowhere',
      async (root) => {
        mkdirSync(join(root, 'default'));
        symlinkSync('..gen-000001', join(root, 'default', '..data'));
      },
      /\.\.gen-000001: it is missing/,
    ],
    [
      'a file',
      async (root) => {
        rmSync(root, { recursive: true });
        writeFileSync(root, '');
      },
      /a file where a directory belongs/,
    ],
    ['links in a circle', async (root) => symlinkSync('default', join(root, 'default')), /circle/],
  ];
  for (const [title, make, why] of cases) {
    test(title, async (t) => {
      const root = join(scratchDirectory(t), 'certificates');
      mkdirSync(root);
      await make(root);
      const clock = testClock();
      await assert.rejects(waitForCertificates(root, { timeoutMs: 3000, clock, signal: testSignal(t) }), {
        code: 'WAIT_TIMEOUT',
        message: 'no complete certificate appeared within 3 s',
        where: root,
        why,
        remedy: /--timeout/,
      });
    });
  }
});

test('waiting stops when it is told to', async (t) => {
  const stop = new AbortController();
  const waiting = waitForCertificates(scratchDirectory(t), { timeoutMs: 60_000, clock: systemClock, signal: stop.signal });
  setTimeout(() => stop.abort(new Error('stopped')), 50);
  await assert.rejects(waiting, /stopped/);
});
