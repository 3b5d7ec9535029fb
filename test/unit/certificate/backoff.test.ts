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

test('what only a person can mend is asked for again after 100 minutes, then daily', () => {
  for (const kind of ['paused', 'caa', 'rejected', 'account', 'configuration'] as const) {
    const delays = [1, 2, 3].map((count) => retryTime({ count, at: 0, notAfter: undefined, kind }, 0));
    assert.deepEqual(delays, [100 * MINUTE, DAY, DAY], kind);
  }
  assert.equal(retryTime({ count: 1, at: 0, notAfter: undefined, kind: 'server' }, 0), MINUTE);
});

test('half of the lifetime that is left bounds that too', () => {
  assert.equal(retryTime({ count: 5, at: 0, notAfter: HOUR, kind: 'paused' }, 0.9), 30 * MINUTE);
});

test('a Retry-After later than the back-off is kept to, also past half of what is left', () => {
  assert.equal(retryTime({ count: 1, at: 0, notAfter: undefined, retryAt: 3 * HOUR }, 0.9), 3 * HOUR);
  assert.equal(retryTime({ count: 1, at: 0, notAfter: 2 * HOUR, retryAt: 3 * HOUR }, 0.9), 3 * HOUR);
});

test('a Retry-After sooner than the back-off, or past, shortens nothing', () => {
  assert.equal(retryTime({ count: 4, at: DAY, notAfter: undefined, retryAt: DAY + MINUTE }, 0), 2 * DAY);
  assert.equal(retryTime({ count: 4, at: DAY, notAfter: undefined, retryAt: 5 }, 0), 2 * DAY);
});

test('a Retry-After of years ends renewal for a week, not for good', () => {
  assert.equal(retryTime({ count: 1, at: DAY, notAfter: undefined, retryAt: 3650 * DAY }, 0), 8 * DAY);
  assert.equal(retryTime({ count: 1, at: DAY, notAfter: undefined, retryAt: Infinity }, 0), 8 * DAY);
});
