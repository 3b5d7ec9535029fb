import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { parseBundle, type Bundle } from '../../../../src/certificate/bundle.ts';
import type { Generation } from '../../../../src/publication/read.ts';
import { PodserveError } from '../../../../src/platform/errors.ts';
import { openCopy, type Copy } from '../../../../src/services/consume/copy.ts';
import { fingerprint, newBundle } from '../../../support/apache.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

function generation(number: number, bundle: Bundle): Generation {
  return { number, bundle, directory: '/nowhere', manifest: {} as Generation['manifest'] };
}

function opened(t: TestContext): { directory: string; copy: Copy; again: () => Copy } {
  const directory = join(scratchDirectory(t), 'copy');
  mkdirSync(directory);
  const again = (): Copy => openCopy(directory, { name: 'a', gid: undefined });
  return { directory, copy: again(), again };
}

/** The leaf that a daemon would load by the plain names, after proving that the key belongs to it. */
function loaded(directory: string): string {
  const read = (file: string): string => readFileSync(join(directory, file), 'utf8');
  const combined = parseBundle(read('combined.pem'), read('combined.pem'));
  const apart = parseBundle(read('privkey.pem'), read('fullchain.pem'));
  assert.equal(fingerprint(combined), fingerprint(apart));
  return fingerprint(apart);
}

test('a copy has every file, keys for the owner alone, and leads to the last generation that was put there', async (t) => {
  const { directory, copy } = opened(t);
  const [one, two] = [await newBundle(['one.example']), await newBundle(['two.example'])];
  for (const [number, bundle] of [one, two].entries()) {
    const held = copy.put('a', generation(number + 1, bundle));
    assert.deepEqual([held.name, held.generation, held.leafSha256], ['a', number + 1, fingerprint(bundle)]);
    assert.equal(held.file, join(directory, 'combined.pem'));
    assert.equal(loaded(directory), fingerprint(bundle));
  }
  assert.deepEqual(
    copy.identifiers().map(({ value }) => value),
    ['two.example'],
  );
  const modes = ['privkey.pem', 'combined.pem', 'cert.pem'].map((file) => (statSync(join(directory, file)).mode & 0o777).toString(8));
  assert.deepEqual(modes, ['600', '600', '644']);
});

test('back leads to what was there before, and to nothing when there was nothing', async (t) => {
  const { directory, copy } = opened(t);
  const [one, two] = [await newBundle(), await newBundle()];
  copy.put('a', generation(1, one));
  copy.back('a');
  assert.equal(copy.certificates.size, 0);
  assert.throws(() => readFileSync(join(directory, 'privkey.pem')), /ENOENT/);
  copy.put('a', generation(1, one));
  copy.put('a', generation(2, two));
  copy.back('a');
  assert.equal(copy.certificates.get('a')?.generation, 1);
  assert.equal(loaded(directory), fingerprint(one));
});

test('opened again it holds what was last seen served, not what was put there after it', async (t) => {
  const { directory, copy, again } = opened(t);
  const [one, two] = [await newBundle(), await newBundle()];
  copy.put('a', generation(1, one));
  assert.equal(again().certificates.get('a')?.leafSha256, fingerprint(one), 'one that was never seen is better than none');
  copy.confirm('a');
  copy.put('a', generation(2, two));
  assert.equal(again().certificates.get('a')?.leafSha256, fingerprint(one));
  assert.equal(loaded(directory), fingerprint(one));
});

test('opened again it holds nothing that is damaged, and falls to what is whole', async (t) => {
  const { directory, copy, again } = opened(t);
  const [one, two] = [await newBundle(), await newBundle()];
  copy.put('a', generation(1, one));
  copy.confirm('a');
  const good = readlinkSync(join(directory, '..good'));
  copy.put('a', generation(2, two));
  writeFileSync(join(directory, good, 'privkey.pem'), two.privateKeyPem);
  assert.equal(again().certificates.get('a')?.leafSha256, fingerprint(two));
  writeFileSync(join(directory, '..data', 'fullchain.pem'), one.leafPem);
  assert.equal(again().certificates.size, 0);
});

test('a copy that somebody changed is noticed, link or file', async (t) => {
  const { directory, copy } = opened(t);
  const bundle = await newBundle();
  for (const damage of [
    () => writeFileSync(join(directory, '..data', 'chain.pem'), 'x'),
    () => rmSync(join(directory, 'privkey.pem')),
    () => rmSync(join(directory, '..data')),
  ]) {
    copy.put('a', generation(1, bundle));
    assert.ok(copy.intact('a'));
    damage();
    assert.ok(!copy.intact('a'));
    copy.drop('a');
  }
  copy.put('a', generation(1, bundle));
  assert.equal(loaded(directory), fingerprint(bundle));
});

test('what a killed process left and what nothing leads to any more is removed, and no more', async (t) => {
  const { directory, copy, again } = opened(t);
  for (let number = 1; number <= 5; number += 1) {
    copy.put('a', generation(number, await newBundle()));
    copy.confirm('a');
  }
  mkdirSync(join(directory, '..gen-000009-abcdef'), { mode: 0o700 });
  symlinkSync('..gen-000009-abcdef', join(directory, '..data.tmp-0123456789ab'));
  writeFileSync(join(directory, 'notes.txt'), 'mine');
  again();
  const left = readdirSync(directory).filter((entry) => !entry.endsWith('.pem'));
  assert.deepEqual(left.toSorted(), ['..data', '..good', readlinkSync(join(directory, '..data')), 'notes.txt'].toSorted());
});

test('a file or link of somebody else under one of its names is refused, not replaced', async (t) => {
  for (const make of [
    (file: string): void => writeFileSync(file, 'mine'),
    (file: string): void => symlinkSync('/etc/ssl/private/mine.pem', file),
  ]) {
    const { directory, again } = opened(t);
    make(join(directory, 'privkey.pem'));
    assert.throws(again, (error) => error instanceof PodserveError && error.code === 'FILE_UNWRITABLE');
    assert.equal(readdirSync(directory).join(), 'privkey.pem');
  }
});
