import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
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

import { combinedPem, fullchainPem, leafSha256, type Bundle } from '../../../src/certificate/bundle.ts';
import { DAY } from '../../../src/platform/clock.ts';
import { adopt, findPlainFiles, type Adoption } from '../../../src/publication/adopt.ts';
import { currentLink } from '../../../src/publication/layout.ts';
import { publishGeneration } from '../../../src/publication/publish.ts';
import { readCurrent } from '../../../src/publication/read.ts';
import { makeBundle } from '../../support/bundles.ts';
import { OWN_GROUP, PUBLISHER, lockNow, publishOne, requestFor } from '../../support/publishing.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const BUNDLE = await makeBundle({ chain: 1, authority: 'House', notBefore: NOW - 10 * DAY });
const OTHER = await makeBundle({ chain: 1 });

async function adoptOne(root: string, name = 'default'): Promise<Adoption> {
  await using lock = await lockNow(root);
  return await adopt(lock, name, { now: NOW, keyGid: OWN_GROUP, publisher: PUBLISHER });
}

function place(directory: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(directory, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text);
}

function pair(bundle: Bundle): Record<string, string> {
  return { 'cert.pem': bundle.leafPem, 'privkey.pem': bundle.privateKeyPem, 'chain.pem': bundle.chainPem };
}

/** The pair that the plain names lead to. */
function served(directory: string): string {
  return readFileSync(join(directory, 'privkey.pem'), 'utf8') + readFileSync(join(directory, 'cert.pem'), 'utf8');
}

describe('a hand-made setup', () => {
  for (const where of ['default', '.']) {
    test(`in ${where === '.' ? 'the top of the publication' : 'the directory of the certificate'} becomes a generation and keeps its originals`, async (t) => {
      const root = scratchDirectory(t);
      const directory = join(root, where);
      place(directory, pair(BUNDLE));
      chmodSync(join(directory, 'privkey.pem'), 0o604);
      assert.equal(await findPlainFiles(root, 'default'), true);
      const { manifest, warnings } = await adoptOne(root);
      assert.equal(manifest?.origin, 'adopted');
      assert.equal(manifest.issuer, 'House CA 1');
      assert.equal(manifest.leafSha256, leafSha256(BUNDLE.leaf));
      assert.equal(warnings.length, 1);
      assert.match(
        warnings[0] ?? '',
        /cert\.pem, chain\.pem, privkey\.pem in .* were adopted as generation 1 of default; the originals are in .*\.\.adopted-1$/,
      );
      const aside = join(root, 'default', '..adopted-1');
      for (const [file, text] of Object.entries(pair(BUNDLE))) {
        assert.equal(readFileSync(join(aside, file), 'utf8'), text);
        assert.equal(readlinkSync(join(directory, file)), `..data/${file}`);
        assert.equal(readFileSync(join(directory, file), 'utf8'), text);
      }
      assert.equal(statSync(join(aside, 'privkey.pem')).mode & 0o777, 0o604);
      assert.equal(statSync(aside).mode & 0o777, 0o700);
      assert.equal(await findPlainFiles(root, 'default'), false);
    });
  }

  const forms: [string, Record<string, string>][] = [
    ['certificate and key alone', { 'cert.pem': BUNDLE.leafPem, 'privkey.pem': BUNDLE.privateKeyPem }],
    ['a full chain and a key', { 'fullchain.pem': fullchainPem(BUNDLE), 'privkey.pem': BUNDLE.privateKeyPem }],
    ['a full chain under the name of the certificate', { 'cert.pem': fullchainPem(BUNDLE), 'privkey.pem': BUNDLE.privateKeyPem }],
    ['the chain twice', { ...pair(BUNDLE), 'cert.pem': fullchainPem(BUNDLE) }],
    ['one combined file', { 'combined.pem': combinedPem(BUNDLE) }],
    ['everything', { ...pair(BUNDLE), 'fullchain.pem': fullchainPem(BUNDLE), 'combined.pem': combinedPem(BUNDLE) }],
    ['files of Windows', Object.fromEntries(Object.entries(pair(BUNDLE)).map(([file, text]) => [file, text.replaceAll('\n', '\r\n')]))],
  ];
  for (const [title, files] of forms) {
    test(`of ${title} is adopted`, async (t) => {
      const root = scratchDirectory(t);
      place(join(root, 'shop'), files);
      const { manifest } = await adoptOne(root, 'shop');
      assert.equal(manifest?.leafSha256, leafSha256(BUNDLE.leaf));
      assert.ok((await readCurrent(root, 'shop')) !== undefined);
      for (const [file, text] of Object.entries(files)) assert.equal(readFileSync(join(root, 'shop', '..adopted-1', file), 'utf8'), text);
    });
  }

  test('that is expired is adopted too: whether it may be served is not decided here', async (t) => {
    const root = scratchDirectory(t);
    place(join(root, 'default'), pair(await makeBundle({ notBefore: NOW - 100 * DAY, notAfter: NOW - 10 * DAY })));
    assert.equal((await adoptOne(root)).manifest?.origin, 'adopted');
  });

  test('at both places is adopted twice, and the newer is what is published', async (t) => {
    const root = scratchDirectory(t);
    const newer = await makeBundle({ notBefore: NOW - DAY });
    place(root, pair(newer));
    place(join(root, 'default'), pair(BUNDLE));
    assert.equal((await adoptOne(root)).manifest?.leafSha256, leafSha256(newer.leaf));
    assert.equal(readFileSync(join(root, 'default', '..adopted-1', 'cert.pem'), 'utf8'), BUNDLE.leafPem);
    assert.equal(readFileSync(join(root, 'default', '..adopted-2', 'cert.pem'), 'utf8'), newer.leafPem);
    assert.equal(served(root), newer.privateKeyPem + newer.leafPem);
    assert.equal(served(join(root, 'default')), served(root));
  });

  test('put in place of links of an older certificate is adopted as the next generation', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root, 'default', { bundle: await makeBundle({ notBefore: NOW - 60 * DAY }) });
    for (const [file, text] of Object.entries({ 'cert.pem': BUNDLE.leafPem, 'privkey.pem': BUNDLE.privateKeyPem })) {
      rmSync(join(root, 'default', file));
      writeFileSync(join(root, 'default', file), text);
    }
    const { manifest } = await adoptOne(root);
    assert.equal(manifest?.generation, 2);
    assert.equal(served(root), BUNDLE.privateKeyPem + BUNDLE.leafPem);
  });

  test('older than what is published is set aside, not published', async (t) => {
    const root = scratchDirectory(t);
    place(join(root, 'default'), pair(BUNDLE));
    const newer = await makeBundle({ notBefore: NOW - DAY });
    {
      await using lock = await lockNow(root);
      await publishGeneration(lock, requestFor('default', newer, { now: NOW }), true);
    }
    const { manifest, warnings } = await adoptOne(root);
    assert.equal(manifest, undefined);
    assert.match(warnings.join('\n'), /are older than what is published/);
    assert.equal(served(join(root, 'default')), newer.privateKeyPem + newer.leafPem);
    assert.equal(readFileSync(join(root, 'default', '..set-aside-20261123T120000Z', 'cert.pem'), 'utf8'), BUNDLE.leafPem);
  });
});

describe('files that are no whole pair are reported and stay', () => {
  const cases: [string, Record<string, string>, RegExp][] = [
    ['a key of another', { ...pair(BUNDLE), 'privkey.pem': OTHER.privateKeyPem }, /private key does not belong/],
    ['no key', { 'cert.pem': BUNDLE.leafPem }, /privkey\.pem.*missing/],
    ['no certificate', { 'privkey.pem': BUNDLE.privateKeyPem }, /fullchain\.pem.*missing/],
    ['a certificate cut off', { ...pair(BUNDLE), 'cert.pem': BUNDLE.leafPem.slice(0, 300) }, /cut off/],
    ['a chain of another', { ...pair(BUNDLE), 'chain.pem': OTHER.chainPem }, /did not sign/],
    ['two leaves', { ...pair(BUNDLE), 'fullchain.pem': fullchainPem(OTHER) }, /./],
    [
      'an encrypted key',
      { ...pair(BUNDLE), 'privkey.pem': '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n' },
      /encrypted/,
    ],
    ['nothing but garbage', { 'cert.pem': 'hello', 'privkey.pem': 'world' }, /./],
    ['a huge file', { ...pair(BUNDLE), 'cert.pem': 'x'.repeat(2 ** 20 + 1) }, /larger than/],
  ];
  for (const [title, files, why] of cases) {
    test(title, async (t) => {
      const root = scratchDirectory(t);
      place(join(root, 'default'), files);
      const { manifest, warnings } = await adoptOne(root);
      assert.equal(manifest, undefined);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] ?? '', /were not adopted: .*; they are set aside, not lost/);
      assert.match(warnings[0] ?? '', why);
      assert.equal(currentLink(root, 'default'), undefined);
      for (const [file, text] of Object.entries(files)) assert.equal(readFileSync(join(root, 'default', file), 'utf8'), text);
      const published = await publishOne(root, 'default', { now: NOW, bundle: BUNDLE });
      assert.equal(published.warnings.length, Object.keys(files).length);
      for (const [file, text] of Object.entries(files)) {
        assert.equal(readFileSync(join(root, 'default', '..set-aside-20261123T120000Z', file), 'utf8'), text);
      }
      assert.equal(served(join(root, 'default')), BUNDLE.privateKeyPem + BUNDLE.leafPem);
    });
  }
});

test('links to files within the publication are read through and adopted', async (t) => {
  const root = scratchDirectory(t);
  place(join(root, 'mine'), { 'site.crt': fullchainPem(BUNDLE), 'site.key': BUNDLE.privateKeyPem });
  mkdirSync(join(root, 'default'));
  symlinkSync('../mine/site.crt', join(root, 'default', 'cert.pem'));
  symlinkSync('../mine/site.key', join(root, 'default', 'privkey.pem'));
  assert.equal((await adoptOne(root)).manifest?.leafSha256, leafSha256(BUNDLE.leaf));
  assert.equal(readlinkSync(join(root, 'default', '..adopted-1', 'cert.pem')), '../mine/site.crt');
  assert.equal(readFileSync(join(root, 'mine', 'site.key'), 'utf8'), BUNDLE.privateKeyPem);
  assert.equal(readlinkSync(join(root, 'default', 'cert.pem')), '..data/cert.pem');
});

test('links that lead out of the publication are reported with the way to import them, and stay', async (t) => {
  const scratch = scratchDirectory(t);
  const root = join(scratch, 'certificates');
  place(join(scratch, 'live'), pair(BUNDLE));
  mkdirSync(join(root, 'default'), { recursive: true });
  for (const file of ['cert.pem', 'privkey.pem']) symlinkSync(`../../live/${file}`, join(root, 'default', file));
  const { manifest, warnings } = await adoptOne(root);
  assert.equal(manifest, undefined);
  assert.match(warnings.join('\n'), /lead out of the publication.*podserve import certbot DIR/);
  assert.equal(readlinkSync(join(root, 'default', 'cert.pem')), '../../live/cert.pem');
  assert.equal(currentLink(root, 'default'), undefined);
});

test('nothing to adopt is nothing', async (t) => {
  const root = scratchDirectory(t);
  assert.equal(await findPlainFiles(root, 'default'), false);
  assert.deepEqual(await adoptOne(root), { manifest: undefined, warnings: [] });
  await publishOne(root);
  assert.deepEqual(await adoptOne(root), { manifest: undefined, warnings: [] });
  assert.equal(existsSync(join(root, 'default', '..adopted-1')), false);
  assert.equal(readdirSync(root).filter((entry) => entry.startsWith('..set-aside')).length, 0);
});

for (const done of [0, 1, 2]) {
  test(`an adoption that was killed after ${done} of 3 files is finished by the next one`, async (t) => {
    const root = scratchDirectory(t);
    const directory = join(root, 'default');
    place(directory, pair(BUNDLE));
    await adoptOne(root);
    // The files are replaced in this order: as if the process had ended in between, the others are the originals still.
    for (const file of ['cert.pem', 'chain.pem', 'privkey.pem'].slice(done)) {
      rmSync(join(directory, file));
      linkSync(join(directory, '..adopted-1', file), join(directory, file));
    }
    const { manifest } = await adoptOne(root);
    assert.equal(manifest?.generation, 1, 'it is the same pair: no further generation');
    for (const file of ['cert.pem', 'chain.pem', 'privkey.pem']) assert.equal(readlinkSync(join(directory, file)), `..data/${file}`);
    assert.deepEqual(readdirSync(join(directory, '..adopted-1')).sort(), ['cert.pem', 'chain.pem', 'privkey.pem']);
    assert.deepEqual(
      readdirSync(directory).filter((entry) => entry.startsWith('..set-aside')),
      [],
    );
  });
}
