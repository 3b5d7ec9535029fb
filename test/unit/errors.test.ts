import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { ERROR_CODES, PodserveError, type ErrorCode } from '../../src/platform/errors.ts';

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (.*?) \| (.*?) \| (\d) \|$/gm)].map(([, code = '', meaning, remedy, exit]) => ({
  code,
  meaning,
  remedy,
  exit: Number(exit),
}));

test('docs/errors.md lists exactly the codes that the code knows', () => {
  assert.deepEqual(rows.map(({ code }) => code).toSorted(), Object.keys(ERROR_CODES).toSorted());
});

test('each documented error has the meaning, the exit code and a remedy', () => {
  for (const { code, meaning, remedy, exit } of rows) {
    assert.equal(meaning, ERROR_CODES[code as ErrorCode], code);
    assert.equal(exit, new PodserveError(code as ErrorCode, 'it failed').exitCode, code);
    assert.ok((remedy ?? '').length > 20, `${code} has no remedy`);
  }
});
