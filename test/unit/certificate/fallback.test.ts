import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fallsBack } from '../../../src/certificate/fallback.ts';

test('an issuer that refuses is passed over at once', () => {
  for (const kind of ['rate-limited', 'paused', 'caa', 'rejected', 'account', 'configuration', 'bad-certificate'] as const) {
    assert.equal(fallsBack(kind, 1, false), true, kind);
  }
});

test('trouble that may pass is waited out twice, then the next issuer is asked', () => {
  for (const kind of ['unreachable', 'server', 'challenge', 'solver'] as const) {
    assert.deepEqual(
      [1, 2, 3, 4].map((failures) => fallsBack(kind, failures, false)),
      [false, false, true, true],
      kind,
    );
  }
});

test('where nothing valid is served the next issuer is asked at once', () => {
  for (const kind of ['unreachable', 'server', 'challenge', 'solver'] as const) assert.equal(fallsBack(kind, 1, true), true, kind);
});

test('a failure of no known kind, such as that of a local issuer, goes on to the next', () => {
  assert.equal(fallsBack(undefined, 1, false), true);
});
