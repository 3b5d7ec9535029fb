import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkedToken } from '../../../src/challenges/token.ts';
import { describeError } from '../../../src/platform/errors.ts';

test('tokens of base64url are taken as they are', () => {
  for (const token of ['a', 'LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0', '-_', 'x'.repeat(200)]) assert.equal(checkedToken(token), token);
});

test('a token that could lead out of its directory, or is no token, is refused in one line', () => {
  for (const token of ['', '.', '..', '../x', 'a/b', 'a.b', 'a\0', 'a\n', 'a b', 'a+b', 'a=', 'ä', 'x'.repeat(201)]) {
    assert.throws(
      () => checkedToken(token),
      (error) => {
        assert.match(describeError(error), /^the token of a challenge is refused: ".*": tokens are .* \(RFC 8555 §8\.3\); /);
        return true;
      },
      JSON.stringify(token),
    );
  }
});
