import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { withCopies } from '../../../../src/services/backup/changing.ts';
import { contentsOf } from '../../../../src/services/backup/contents.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

test('an order that changes or ends while the archive is written does not spoil the backup', (t) => {
  const state = scratchDirectory(t);
  const work = scratchDirectory(t);
  const orders = join(state, 'authority', 'acme', 'house', 'orders');
  mkdirSync(orders, { recursive: true });
  for (const name of ['done', 'running']) writeFileSync(join(orders, `${name}.json`), name, { mode: 0o600 });
  const { entries } = contentsOf(state);
  rmSync(join(orders, 'done.json'));
  writeFileSync(join(orders, 'running.json'), 'running further');
  const copied = withCopies(entries, work);
  writeFileSync(join(orders, 'running.json'), 'r');
  const files = copied.filter(({ type }) => type === 'File');
  assert.deepEqual(
    files.map(({ path, size, mode, source }) => [path, size, mode, readFileSync(source, 'utf8')]),
    [['authority/acme/house/orders/running.json', 15, 0o600, 'running further']],
  );
});
