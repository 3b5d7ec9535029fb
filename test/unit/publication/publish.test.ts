import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { combinedPem, fullchainPem, leafSha256 } from '../../../src/certificate/bundle.ts';
import { parseIdentifiers } from '../../../src/certificate/identifier.ts';
import { DAY, HOUR, MINUTE } from '../../../src/platform/clock.ts';
import { eachLimited } from '../../../src/platform/concurrency.ts';
import { FILES, currentLink, listNames } from '../../../src/publication/layout.ts';
import { publish, restoreGeneration } from '../../../src/publication/publish.ts';
import { keptGenerations, readCurrent } from '../../../src/publication/read.ts';
import { makeBundle } from '../../support/bundles.ts';
import { lockNow, publishOne, requestFor } from '../../support/publishing.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');

test('a new generation never has the name of one that was current and is gone: readers compare names', async (t) => {
  const root = scratchDirectory(t);
  for (let again = 0; again < 3; again += 1) await publishOne(root);
  rmSync(join(root, 'default', '..gen-000003'), { recursive: true });
  const { manifest } = await publishOne(root);
  assert.equal(manifest.generation, 4);
  assert.equal(currentLink(root, 'default'), '..gen-000004');
});

describe('a publication', () => {
  test('has every file of the layout, with the content that its name says', async (t) => {
    const root = scratchDirectory(t);
    const bundle = await makeBundle({ chain: 2, names: ['www.example.org', '192.0.2.7'] });
    const { manifest } = await publishOne(root, 'default', { bundle, now: NOW, issuer: 'house', placeholder: true });
    const read = (file: string): string => readFileSync(join(root, 'default', file), 'utf8');
    assert.equal(readlinkSync(join(root, 'default', '..data')), '..gen-000001');
    assert.equal(read('cert.pem'), bundle.leafPem);
    assert.equal(read('chain.pem'), bundle.chainPem);
    assert.equal(read('fullchain.pem'), fullchainPem(bundle));
    assert.equal(read('privkey.pem'), bundle.privateKeyPem);
    assert.equal(read('combined.pem'), combinedPem(bundle));
    assert.deepEqual(JSON.parse(read('manifest.json')), manifest);
    assert.deepEqual(manifest, {
      version: 1,
      name: 'default',
      generation: 1,
      issuer: 'house',
      origin: 'issued',
      placeholder: true,
      keyType: 'ecdsa-p256',
      identifiers: ['www.example.org', '192.0.2.7'],
      serial: bundle.leaf.serialNumber.toLowerCase(),
      notBefore: bundle.leaf.validFromDate.toISOString(),
      notAfter: bundle.leaf.validToDate.toISOString(),
      leafSha256: leafSha256(bundle.leaf),
      spkiSha256: manifest.spkiSha256,
      publishedAt: '2026-11-23T12:00:00.000Z',
      publishedBy: { host: 'testhost', command: 'test', version: '0' },
    });
    assert.match(manifest.spkiSha256, /^[0-9a-f]{64}$/);
  });

  test('of default has its plain names at the top too; another one has not', async (t) => {
    const root = scratchDirectory(t);
    const bundle = await makeBundle();
    await publishOne(root, 'default', { bundle });
    await publishOne(root, 'other');
    assert.equal(readlinkSync(join(root, '..data')), 'default/..data');
    for (const file of FILES) {
      assert.equal(readlinkSync(join(root, file)), `..data/${file}`);
      assert.equal(readlinkSync(join(root, 'other', file)), `..data/${file}`);
      assert.equal(readFileSync(join(root, file), 'utf8'), readFileSync(join(root, 'default', '..data', file), 'utf8'));
    }
    assert.deepEqual(listNames(root), ['default', 'other']);
  });

  for (const umask of [0o000, 0o022, 0o077]) {
    test(`has the same modes under umask ${umask.toString(8).padStart(3, '0')}`, async (t) => {
      const root = join(scratchDirectory(t), 'certificates');
      const before = process.umask(umask);
      t.after(() => process.umask(before));
      await publishOne(root);
      const mode = (path: string): string => (statSync(join(root, 'default', path)).mode & 0o7777).toString(8);
      assert.equal(mode('.'), '755');
      assert.equal(mode('..data'), '755');
      for (const file of ['cert.pem', 'chain.pem', 'fullchain.pem', 'manifest.json']) assert.equal(mode(file), '644', file);
      for (const file of ['privkey.pem', 'combined.pem']) assert.equal(mode(file), '640', file);
      assert.equal((statSync(join(root, '.lock')).mode & 0o7777).toString(8), '600');
    });
  }

  test('counts generations up, also past ones that were returned from', async (t) => {
    const root = scratchDirectory(t);
    for (const expected of [1, 2, 3]) assert.equal((await publishOne(root)).manifest.generation, expected);
    {
      await using lock = await lockNow(root);
      assert.equal((await restoreGeneration(lock, 'default', 2, Date.now())).generation, 2);
      assert.equal(currentLink(root, 'default'), '..gen-000002');
      assert.equal((await readCurrent(root, 'default'))?.number, 2);
    }
    assert.equal((await publishOne(root)).manifest.generation, 4);
  });

  test('of fifty names at once under one lock is whole for each', async (t) => {
    const root = scratchDirectory(t);
    const names = Array.from({ length: 50 }, (_, index) => `name-${index}`);
    await using lock = await lockNow(root);
    await eachLimited(names, 16, async (name) => publish(lock, requestFor(name, await makeBundle())));
    for (const name of names) assert.equal((await readCurrent(root, name))?.manifest.name, name);
  });

  test('removes what killed publishers left, and nothing that could be read', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    const directory = join(root, 'default');
    mkdirSync(join(directory, '..gen-000002.tmp-0123456789ab'));
    writeFileSync(join(directory, '..gen-000002.tmp-0123456789ab', 'privkey.pem'), 'half');
    symlinkSync('..gen-000002', join(directory, '..data.tmp-0123456789ab'));
    symlinkSync('..data/cert.pem', join(directory, 'cert.pem.tmp-0123456789ab'));
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    await publishOne(root);
    const entries = readdirSync(directory).filter((entry) => !(FILES as readonly string[]).includes(entry));
    assert.deepEqual(entries.sort(), ['..data', '..gen-000001', '..gen-000002', 'notes.txt']);
  });

  test('mends a plain name that somebody removed', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    rmSync(join(root, 'default', 'chain.pem'));
    rmSync(join(root, 'privkey.pem'));
    await publishOne(root);
    assert.equal(readlinkSync(join(root, 'default', 'chain.pem')), '..data/chain.pem');
    assert.equal(readlinkSync(join(root, 'privkey.pem')), '..data/privkey.pem');
  });

  test('sets aside what is no link of ours, loses nothing of it and says so', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    const directory = join(root, 'default');
    rmSync(join(directory, 'cert.pem'));
    mkdirSync(join(directory, 'cert.pem'));
    writeFileSync(join(directory, 'cert.pem', 'inside'), 'kept');
    rmSync(join(directory, 'privkey.pem'));
    writeFileSync(join(directory, 'privkey.pem'), 'hand-made', { mode: 0o604 });
    const { warnings } = await publishOne(root, 'default', { now: NOW });
    assert.equal(warnings.length, 2);
    assert.match(warnings.join('\n'), /default\/cert\.pem was no link .*\.\.set-aside-20261123T120000Z\/cert\.pem/);
    const aside = join(directory, '..set-aside-20261123T120000Z');
    assert.equal(readFileSync(join(aside, 'cert.pem', 'inside'), 'utf8'), 'kept');
    assert.equal(readFileSync(join(aside, 'privkey.pem'), 'utf8'), 'hand-made');
    assert.equal(statSync(join(aside, 'privkey.pem')).mode & 0o777, 0o604);
    assert.equal(statSync(aside).mode & 0o777, 0o700);
    assert.equal(readlinkSync(join(directory, 'cert.pem')), '..data/cert.pem');
    assert.ok((await readCurrent(root, 'default')) !== undefined);
  });

  test('leaves links alone that lead out of it, and names the way to take them over', async (t) => {
    const root = scratchDirectory(t);
    mkdirSync(join(root, 'default'), { recursive: true });
    symlinkSync('/etc/letsencrypt/live/example.org/cert.pem', join(root, 'default', 'cert.pem'));
    const { warnings } = await publishOne(root);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /lead out of the publication.*cert\.pem -> \/etc\/letsencrypt\/live.*podserve import certbot DIR/);
    assert.equal(readlinkSync(join(root, 'default', 'cert.pem')), '/etc/letsencrypt/live/example.org/cert.pem');
    assert.equal(existsSync(join(root, 'default', 'privkey.pem')), false, 'a key beside a foreign certificate would not match it');
    assert.ok((await readCurrent(root, 'default')) !== undefined);
  });

  test('sets a ..data aside that is a directory, as after a copy that followed links', async (t) => {
    const root = scratchDirectory(t);
    mkdirSync(join(root, 'default', '..data'), { recursive: true });
    writeFileSync(join(root, 'default', '..data', 'cert.pem'), 'copied');
    assert.equal(currentLink(root, 'default'), '!EINVAL');
    const { warnings } = await publishOne(root, 'default', { now: NOW });
    assert.match(warnings.join('\n'), /\.\.data was no link: it was set aside as .*\.\.set-aside-20261123T120000Z/);
    assert.equal(readFileSync(join(root, 'default', '..set-aside-20261123T120000Z', 'cert.pem'), 'utf8'), 'copied');
    assert.equal(currentLink(root, 'default'), '..gen-000001');
  });

  test('with links in a circle is mended by the next one', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    const directory = join(root, 'default');
    for (const [link, target] of [
      ['..data', '..data'],
      ['cert.pem', 'cert.pem'],
    ] as const) {
      rmSync(join(directory, link));
      symlinkSync(target, join(directory, link));
    }
    const { warnings } = await publishOne(root);
    assert.match(warnings.join('\n'), /cert\.pem was no link of the publication/);
    assert.equal((await readCurrent(root, 'default'))?.number, 2);
    assert.ok(readFileSync(join(directory, 'cert.pem'), 'utf8').startsWith('-----BEGIN CERTIFICATE-----'));
  });
});

describe('a bundle is refused before anything changes', () => {
  const cases: [string, (bundle: Awaited<ReturnType<typeof makeBundle>>) => Promise<Parameters<typeof requestFor>[2]>, RegExp][] = [
    [
      'with the key of another',
      async (b) => ({ bundle: { ...b, privateKeyPem: (await makeBundle()).privateKeyPem } }),
      /private key does not belong/,
    ],
    [
      'with a chain that did not sign it',
      async (b) => ({ bundle: { ...b, chainPem: (await makeBundle({ chain: 1 })).chainPem } }),
      /did not sign/,
    ],
    [
      'with the text of another leaf',
      async () => ({ bundle: { ...(await makeBundle()), leaf: (await makeBundle()).leaf } }),
      /not the same/,
    ],
    [
      'that misses a wanted name',
      async () => ({ identifiers: parseIdentifiers(['localhost', 'more.example']) }),
      /does not cover more\.example/,
    ],
    ['that has expired', async () => ({ now: Date.now() + 900 * DAY }), /expired/],
  ];
  for (const [title, change, why] of cases) {
    test(title, async (t) => {
      const root = scratchDirectory(t);
      const { manifest } = await publishOne(root);
      const bundle = await makeBundle({ chain: 1 });
      const before = readdirSync(join(root, 'default'));
      await assert.rejects(
        publishOne(root, 'default', { bundle, ...(await change(bundle)) }),
        (error: Error & { why?: string; code?: string }) => {
          assert.equal(error.code, 'BUNDLE_INVALID');
          assert.match(error.why ?? '', why);
          return true;
        },
      );
      assert.deepEqual(readdirSync(join(root, 'default')), before);
      assert.equal((await readCurrent(root, 'default'))?.manifest.leafSha256, manifest.leafSha256);
    });
  }

  test('under a name that is none', async (t) => {
    const root = scratchDirectory(t);
    for (const name of ['..', 'a/b', 'Upper', 'x'.repeat(64), '']) {
      await assert.rejects(publishOne(root, name), { code: 'CONFIG_INVALID' });
    }
    await publishOne(root, 'x'.repeat(63));
    assert.deepEqual(listNames(root), ['x'.repeat(63)]);
  });
});

describe('old generations', () => {
  test('go when three newer ones are there and they ended over an hour ago', async (t) => {
    const root = scratchDirectory(t);
    for (let day = 0; day < 6; day += 1) await publishOne(root, 'default', { now: NOW + day * DAY });
    assert.deepEqual(await keptGenerations(root, 'default'), [6, 5, 4]);
  });

  test('stay for a slow reader, however many are published within the hour', async (t) => {
    const root = scratchDirectory(t);
    for (let minute = 0; minute < 12; minute += 1) await publishOne(root, 'default', { now: NOW + 5 * minute * MINUTE });
    assert.equal((await keptGenerations(root, 'default')).length, 12);
    await publishOne(root, 'default', { now: NOW + 65 * MINUTE });
    assert.deepEqual((await keptGenerations(root, 'default')).at(-1), 2);
  });

  test('stay while they are the last good one', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root, 'default', { now: NOW });
    for (let hour = 1; hour < 8; hour += 1) {
      await publishOne(root, 'default', { now: NOW + hour * 2 * HOUR });
      const link = currentLink(root, 'default') ?? '';
      writeFileSync(join(root, 'default', link, 'privkey.pem'), '');
    }
    assert.deepEqual(await keptGenerations(root, 'default'), [8, 7, 6, 1]);
  });

  test('are not all gone at once when the clock jumps ten years ahead', async (t) => {
    const root = scratchDirectory(t);
    for (let minute = 0; minute < 4; minute += 1) await publishOne(root, 'default', { now: NOW + minute * MINUTE });
    const far = { bundle: await makeBundle({ notAfter: NOW + 8000 * DAY }), now: NOW + 3650 * DAY };
    await publishOne(root, 'default', far);
    assert.equal((await keptGenerations(root, 'default')).length, 5);
  });
});

test('a certificate directory that is a file is reported with its path and left alone', async (t) => {
  const root = scratchDirectory(t);
  writeFileSync(join(root, 'default'), 'mine');
  await assert.rejects(publishOne(root), {
    code: 'PUBLICATION_UNWRITABLE',
    where: join(root, 'default'),
    why: /file where a directory belongs/,
  });
  assert.ok(lstatSync(join(root, 'default')).isFile());
});
