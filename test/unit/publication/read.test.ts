import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { PodserveError, describeError } from '../../../src/platform/errors.ts';
import { currentLink, listNames } from '../../../src/publication/layout.ts';
import { keptGenerations, readCurrent, readGeneration } from '../../../src/publication/read.ts';
import { makeBundle } from '../../support/bundles.ts';
import { publishOne } from '../../support/publishing.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const BUNDLE = await makeBundle({ chain: 2 });
const OTHER = await makeBundle({ chain: 2 });

/** A file of the generation is made wrong; which one is blamed, with what reason. */
interface Damage {
  readonly title: string;
  readonly damage: (generation: string) => void;
  readonly blamed: string;
  readonly why: RegExp;
  readonly code?: string;
}

function put(file: string, text: string): (generation: string) => void {
  return (generation) => writeFileSync(join(generation, file), text);
}

function cut(file: string, part: number): (generation: string) => void {
  return (generation) => {
    const text = readFileSync(join(generation, file), 'utf8');
    writeFileSync(join(generation, file), text.slice(0, Math.floor(text.length * part)));
  };
}

function instead(file: string, make: (path: string) => void): (generation: string) => void {
  return (generation) => {
    rmSync(join(generation, file));
    make(join(generation, file));
  };
}

function manifest(change: Readonly<Record<string, unknown>>): (generation: string) => void {
  return (generation) => {
    const file = join(generation, 'manifest.json');
    const before = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...before, ...change }));
  };
}

const UNREADABLE = 'PUBLICATION_UNREADABLE';

const DAMAGES: readonly Damage[] = [
  ...['cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem', 'combined.pem', 'manifest.json'].flatMap((file): Damage[] => [
    { title: `${file} missing`, damage: instead(file, () => undefined), blamed: file, why: /missing/, code: UNREADABLE },
    { title: `${file} a directory`, damage: instead(file, (path) => mkdirSync(path)), blamed: file, why: /directory/, code: UNREADABLE },
    {
      title: `${file} a link`,
      damage: instead(file, (path) => symlinkSync('/etc/passwd', path)),
      blamed: file,
      why: /link/,
      code: UNREADABLE,
    },
    {
      title: `${file} a link to itself`,
      damage: instead(file, (path) => symlinkSync(file, path)),
      blamed: file,
      why: /link/,
      code: UNREADABLE,
    },
    {
      title: `${file} a pipe`,
      damage: instead(file, (path) => execFileSync('mkfifo', [path])),
      blamed: file,
      why: /pipe/,
      code: UNREADABLE,
    },
    { title: `${file} over 1 MiB`, damage: put(file, 'x'.repeat(2 ** 20 + 1)), blamed: file, why: /larger than 1048576/, code: UNREADABLE },
    { title: `${file} garbage`, damage: put(file, '\0\u0001garbage \u00ff'), blamed: file, why: /./ },
  ]),
  { title: 'cert.pem empty', damage: put('cert.pem', ''), blamed: 'cert.pem', why: /empty/ },
  { title: 'privkey.pem empty', damage: put('privkey.pem', ''), blamed: 'privkey.pem', why: /no complete private key/ },
  { title: 'chain.pem empty', damage: put('chain.pem', ''), blamed: 'fullchain.pem', why: /not cert\.pem followed by chain\.pem/ },
  { title: 'fullchain.pem empty', damage: put('fullchain.pem', ''), blamed: 'fullchain.pem', why: /not cert\.pem followed/ },
  { title: 'combined.pem empty', damage: put('combined.pem', ''), blamed: 'combined.pem', why: /not privkey\.pem followed/ },
  { title: 'manifest.json empty', damage: put('manifest.json', ''), blamed: 'manifest.json', why: /empty/ },
  { title: 'cert.pem cut off', damage: cut('cert.pem', 0.6), blamed: 'cert.pem', why: /cut off/ },
  { title: 'chain.pem cut off', damage: cut('chain.pem', 0.7), blamed: 'chain.pem', why: /cut off/ },
  { title: 'privkey.pem cut off', damage: cut('privkey.pem', 0.6), blamed: 'privkey.pem', why: /no complete private key/ },
  { title: 'combined.pem cut off', damage: cut('combined.pem', 0.9), blamed: 'combined.pem', why: /not privkey\.pem followed/ },
  { title: 'fullchain.pem cut off', damage: cut('fullchain.pem', 0.9), blamed: 'fullchain.pem', why: /not cert\.pem followed/ },
  { title: 'key of another', damage: put('privkey.pem', OTHER.privateKeyPem), blamed: 'privkey.pem', why: /does not belong/ },
  { title: 'certificate of another', damage: put('cert.pem', OTHER.leafPem), blamed: 'privkey.pem', why: /does not belong/ },
  { title: 'chain of another', damage: put('chain.pem', OTHER.chainPem), blamed: 'chain.pem', why: /did not sign/ },
  {
    title: 'two certificates as leaf',
    damage: put('cert.pem', BUNDLE.leafPem + BUNDLE.chainPem),
    blamed: 'chain.pem',
    why: /did not sign/,
  },
  { title: 'manifest.json a list', damage: put('manifest.json', '[]'), blamed: 'manifest.json', why: /not a manifest/ },
  { title: 'manifest.json cut off', damage: cut('manifest.json', 0.5), blamed: 'manifest.json', why: /not JSON/ },
  { title: 'manifest.json without a date', damage: manifest({ notAfter: 'soon' }), blamed: 'manifest.json', why: /notAfter/ },
  { title: 'manifest.json of version 0', damage: manifest({ version: 0 }), blamed: 'manifest.json', why: /version/ },
  {
    title: 'manifest of another leaf',
    damage: manifest({ leafSha256: '0'.repeat(64) }),
    blamed: 'manifest.json',
    why: /leafSha256 differs/,
  },
  {
    title: 'manifest with another expiry',
    damage: manifest({ notAfter: '2099-01-01T00:00:00.000Z' }),
    blamed: 'manifest.json',
    why: /notAfter differs/,
  },
  { title: 'manifest of another generation', damage: manifest({ generation: 7 }), blamed: 'manifest.json', why: /about generation 7/ },
];

describe('damage is named with file, cause and remedy, without key material', () => {
  for (const { title, damage, blamed, why, code = 'BUNDLE_INVALID' } of DAMAGES) {
    test(title, async (t) => {
      const root = scratchDirectory(t);
      await publishOne(root, 'default', { bundle: BUNDLE });
      const generation = join(root, 'default', '..gen-000001');
      damage(generation);
      const error = await readCurrent(root, 'default').then(
        () => assert.fail('it was read'),
        (caught: unknown) => caught,
      );
      assert.ok(error instanceof PodserveError, String(error));
      assert.equal(error.where, join(generation, blamed));
      assert.match(error.why ?? '', why);
      assert.match(error.remedy ?? '', /podserve certificates --mode renew/);
      assert.equal(error.code, code);
      const line = describeError(error);
      for (const secret of BUNDLE.privateKeyPem.split('\n').slice(1, -2)) assert.ok(!line.includes(secret));
    });
  }
});

describe('..data that leads nowhere good', () => {
  const links: [string, string, RegExp][] = [
    ['to itself', '..data', /leads to "\.\.data", which is no generation/],
    ['out of the publication', '../../../etc', /which is no generation/],
    ['to an absolute path', '/etc/ssl', /which is no generation/],
    ['to a generation that is gone', '..gen-000009', /missing/],
  ];
  for (const [title, target, why] of links) {
    test(title, async (t) => {
      const root = scratchDirectory(t);
      await publishOne(root);
      rmSync(join(root, 'default', '..data'));
      symlinkSync(target, join(root, 'default', '..data'));
      await assert.rejects(readCurrent(root, 'default'), { code: UNREADABLE, why });
      assert.equal(currentLink(root, 'default'), target);
    });
  }

  test('a directory or file', async (t) => {
    const root = scratchDirectory(t);
    mkdirSync(join(root, 'one', '..data'), { recursive: true });
    mkdirSync(join(root, 'two'));
    writeFileSync(join(root, 'two', '..data'), '');
    for (const name of ['one', 'two']) {
      await assert.rejects(readCurrent(root, name), { code: UNREADABLE, why: /file or directory where a link belongs/ });
      assert.equal(currentLink(root, name), '!EINVAL');
    }
  });

  test('a generation that is a link', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    const directory = join(root, 'default');
    renameSync(join(directory, '..gen-000001'), join(root, 'elsewhere'));
    symlinkSync('../elsewhere', join(directory, '..gen-000001'));
    await assert.rejects(readCurrent(root, 'default'), { code: UNREADABLE, why: /where a directory belongs/ });
  });

  test('a certificate directory in a circle of links', async (t) => {
    const root = scratchDirectory(t);
    symlinkSync('default', join(root, 'default'));
    await assert.rejects(readCurrent(root, 'default'), { code: UNREADABLE, why: /circle/ });
    assert.equal(currentLink(root, 'default'), '!ELOOP');
  });
});

test('a generation of a newer version is refused as such', async (t) => {
  const root = scratchDirectory(t);
  await publishOne(root);
  manifest({ version: 2, something: 'new' })(join(root, 'default', '..gen-000001'));
  await assert.rejects(readCurrent(root, 'default'), { code: 'PUBLICATION_NEWER', remedy: /newer version/ });
});

test('what was never published is undefined, not an error', async (t) => {
  const root = scratchDirectory(t);
  mkdirSync(join(root, 'empty'));
  for (const name of ['empty', 'absent']) {
    assert.equal(await readCurrent(root, name), undefined);
    assert.equal(currentLink(root, name), undefined);
    assert.deepEqual(await keptGenerations(root, name), []);
  }
  assert.equal(await readCurrent(join(root, 'nowhere'), 'default'), undefined);
  assert.deepEqual(listNames(join(root, 'nowhere')), []);
});

test('a generation is found through any path that leads to its directory', async (t) => {
  const root = scratchDirectory(t);
  await publishOne(root, 'default', { bundle: BUNDLE });
  symlinkSync(join(root, 'default'), join(root, 'mounted'));
  const found = await readCurrent(root, 'mounted');
  assert.equal(found?.bundle.leafPem, BUNDLE.leafPem);
  assert.equal((await readGeneration(found?.directory ?? '')).number, 1);
  const moved = join(root, 'copy');
  mkdirSync(moved);
  for (const file of ['cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem', 'combined.pem', 'manifest.json']) {
    writeFileSync(join(moved, file), readFileSync(join(found?.directory ?? '', file)));
  }
  assert.equal((await readGeneration(moved)).number, 1);
});
