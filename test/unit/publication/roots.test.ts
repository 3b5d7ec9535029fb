import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { publishRoots } from '../../../src/publication/roots.ts';
import { publishOne } from '../../support/publishing.ts';
import { scratchDirectory } from '../../support/scratch.ts';

test('ca.pem is written when it changed, for everybody to read, and only then', async (t) => {
  const root = scratchDirectory(t);
  await publishOne(root);
  const before = process.umask(0o077);
  t.after(() => process.umask(before));
  assert.equal(await publishRoots(root, 'one\n'), true);
  const first = statSync(join(root, 'ca.pem'));
  assert.equal(first.mode & 0o777, 0o644);
  assert.equal(await publishRoots(root, 'one\n'), false);
  assert.equal(statSync(join(root, 'ca.pem')).ino, first.ino);
  assert.equal(await publishRoots(root, 'one\ntwo\n'), true);
  assert.equal(readFileSync(join(root, 'ca.pem'), 'utf8'), 'one\ntwo\n');
  assert.deepEqual(
    readdirSync(root).filter((entry) => entry.startsWith('ca.pem')),
    ['ca.pem'],
  );
});

test('a ca.pem of a hand-made setup is kept beside ours; our own older one is not', async (t) => {
  const root = scratchDirectory(t);
  writeFileSync(join(root, 'ca.pem'), 'mine\n');
  assert.equal(await publishRoots(root, 'ours\n'), true);
  assert.equal(readFileSync(join(root, 'ca.pem.set-aside'), 'utf8'), 'mine\n');
  assert.equal(readFileSync(join(root, 'ca.pem'), 'utf8'), 'ours\n');

  const other = scratchDirectory(t);
  await publishRoots(other, 'first\n');
  await publishOne(other);
  await publishRoots(other, 'second\n');
  assert.equal(existsSync(join(other, 'ca.pem.set-aside')), false);
});

test('a ca.pem that is a directory is named and left alone', async (t) => {
  const root = scratchDirectory(t);
  mkdirSync(join(root, 'ca.pem', 'inside'), { recursive: true });
  await publishOne(root);
  await assert.rejects(publishRoots(root, 'ours\n'), { code: 'PUBLICATION_UNWRITABLE', why: /directory/ });
  assert.deepEqual(readdirSync(join(root, 'ca.pem')), ['inside']);
  assert.deepEqual(
    readdirSync(root).filter((entry) => entry.includes('.tmp-')),
    [],
  );
});
