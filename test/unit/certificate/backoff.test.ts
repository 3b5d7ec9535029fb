import assert from 'node:assert/strict';
import { test } from 'node:test';

import { retryTime } from '../../../src/certificate/backoff.ts';
import { DAY, HOUR, MINUTE } from '../../../src/platform/clock.ts';

test('a failure is retried after 1, 10 and 100 minutes, then daily', () => {
  const delays = [1, 2, 3, 4, 5, 50].map((count) => retryTime({ count, at: 0, notAfter: undefined }, 0));
  assert.deepEqual(delays, [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY, DAY]);
});

test('retries of certificates that failed together spread over a fifth of the delay', () => {
  assert.equal(retryTime({ count: 4, at: 0, notAfter: undefined }, 0.5), 1.1 * DAY);
});

test('a retry comes no later than half of the lifetime that is left', () => {
  assert.equal(retryTime({ count: 4, at: 0, notAfter: 6 * HOUR }, 0.9), 3 * HOUR);
});

test('a certificate about to expire, or expired, is retried after a minute', () => {
  assert.equal(retryTime({ count: 4, at: 1000, notAfter: 1500 }, 0.9), 1000 + MINUTE);
  assert.equal(retryTime({ count: 9, at: DAY, notAfter: 0 }, 0.9), DAY + MINUTE);
});
