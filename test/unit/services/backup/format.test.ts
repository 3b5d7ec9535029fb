import assert from 'node:assert/strict';
import test from 'node:test';

import { FORMAT_VERSION, parseFormat } from '../../../../src/services/backup/format.ts';
import { describeError } from '../../../../src/platform/errors.ts';

const GOOD = {
  format: 'podserve-backup',
  version: FORMAT_VERSION,
  createdAt: '2026-01-01T00:00:00.000Z',
  podserve: '0.1.0',
  host: 'a',
  entries: 3,
};

test('a format document is read back', () => {
  assert.deepEqual(parseFormat(JSON.stringify(GOOD), 'b.tar.gz'), GOOD);
});

test('a newer format is refused with both versions and what to do', () => {
  assert.throws(
    () => parseFormat(JSON.stringify({ ...GOOD, version: FORMAT_VERSION + 1, podserve: '9.0.0' }), 'b.tar.gz'),
    (error) =>
      /b\.tar\.gz: its format is 3, made by podserve 9\.0\.0; this one knows 2; restore it with that version/.test(describeError(error)),
  );
});

test('anything else is no backup, or a damaged one', () => {
  for (const text of [
    '',
    'null',
    '[]',
    '{}',
    '{"format":"other","version":1}',
    JSON.stringify({ ...GOOD, entries: 'x' }),
    JSON.stringify({ ...GOOD, host: 1 }),
  ]) {
    assert.throws(() => parseFormat(text, 'b.tar.gz'), /no backup of podserve|damaged/, text);
  }
});
