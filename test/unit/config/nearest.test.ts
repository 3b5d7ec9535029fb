import assert from 'node:assert/strict';
import { test } from 'node:test';

import { nearest } from '../../../src/config/nearest.ts';

test('a slip of the finger finds what was meant, another word finds nothing', () => {
  const keys = ['name', 'names', 'issuers', 'keyType', 'lifetime', 'renewBefore', 'consumers'];
  const cases: [word: string, meant: string | undefined][] = [
    ['nmaes', 'names'],
    ['Names', 'names'],
    ['issuer', 'issuers'],
    ['keytype', 'keyType'],
    ['key_type', 'keyType'],
    ['life', undefined],
    ['renew-before', 'renewBefore'],
    ['profile', undefined],
    ['', undefined],
    ['x'.repeat(100_000), undefined],
  ];
  for (const [word, meant] of cases) assert.equal(nearest(word, keys), meant, word.slice(0, 20));
});
