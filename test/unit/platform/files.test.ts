import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { systemCode } from '../../../src/platform/errors.ts';
import { makeDirectories } from '../../../src/platform/files.ts';
import { scratchDirectory } from '../../support/scratch.ts';

test('missing directories are made, the last one with its mode, and a second time nothing happens', (t) => {
  const path = join(scratchDirectory(t), 'a/b/c');
  assert.equal(makeDirectories(path, 0o700), true);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(makeDirectories(path, 0o755), false);
  assert.equal(statSync(path).mode & 0o777, 0o700);
});

test('where nothing can be made it ends at once with the reason', (t) => {
  assert.throws(
    () => makeDirectories('/proc/x/authority'),
    (error) => systemCode(error) === 'ENOENT',
  );
  const file = join(scratchDirectory(t), 'file');
  writeFileSync(file, '');
  assert.throws(
    () => makeDirectories(file),
    (error) => systemCode(error) === 'EEXIST',
  );
  assert.throws(
    () => makeDirectories(join(file, 'below')),
    (error) => systemCode(error) === 'ENOTDIR',
  );
});
