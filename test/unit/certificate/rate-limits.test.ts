import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  budget,
  LETSENCRYPT_LIMITS,
  LETSENCRYPT_STAGING_LIMITS,
  type RateLimit,
  type Use,
  type UseKind,
} from '../../../src/certificate/rate-limits.ts';
import { DAY, HOUR, MINUTE } from '../../../src/platform/clock.ts';
import { randomStream, scaled } from '../../support/scale.ts';

const NOW = Date.parse('2026-11-23T00:00:00Z');

function use(kind: UseKind, subject: string, at: number): Use {
  return { issuer: 'letsencrypt', kind, subject, at };
}

function uses(kind: UseKind, subject: string, times: readonly number[]): Use[] {
  return times.map((time) => use(kind, subject, time));
}

describe('the budget of an issuer', () => {
  test('an unused one lets an order go now', () => {
    const { allowedAt, rows } = budget(LETSENCRYPT_LIMITS, [], [{ kind: 'order', subject: '' }], NOW);
    assert.equal(allowedAt, NOW);
    assert.deepEqual(rows, [{ kind: 'order', subject: '', used: 0, count: 300, window: 3 * HOUR, left: 300, nextSlot: NOW }]);
  });

  test('the sixth certificate for the same names waits until the first of five is a week old', () => {
    const past = uses(
      'duplicate',
      'a.example.org',
      [6, 5, 4, 3, 2].map((days) => NOW - days * DAY),
    );
    const wanted = [{ kind: 'duplicate', subject: 'a.example.org' }] as const;
    const { allowedAt, rows } = budget(LETSENCRYPT_LIMITS, past, wanted, NOW);
    assert.deepEqual([allowedAt, rows[0]?.used, rows[0]?.left], [NOW + DAY, 5, 0]);
    assert.equal(budget(LETSENCRYPT_LIMITS, past, wanted, NOW + DAY - 1).allowedAt, NOW + DAY);
    assert.equal(budget(LETSENCRYPT_LIMITS, past, wanted, NOW + DAY).allowedAt, NOW + DAY);
    assert.equal(budget(LETSENCRYPT_LIMITS, past, wanted, NOW + DAY).rows[0]?.left, 1);
  });

  test('who is over the limit waits for as many uses to leave as it takes to be under it again', () => {
    const past = uses(
      'failure',
      'a.example.org',
      [50, 40, 30, 20, 10, 5, 1].map((minutes) => NOW - minutes * MINUTE),
    );
    const { rows } = budget(LETSENCRYPT_LIMITS, past, [{ kind: 'failure', subject: 'a.example.org' }], NOW);
    assert.deepEqual([rows[0]?.used, rows[0]?.left, rows[0]?.nextSlot], [7, 0, NOW - 30 * MINUTE + HOUR]);
  });

  test('what others used, other kinds and other subjects, takes nothing away', () => {
    const past = [
      ...uses(
        'duplicate',
        'b.example.org',
        Array.from({ length: 9 }, () => NOW - HOUR),
      ),
      ...uses(
        'failure',
        'a.example.org',
        Array.from({ length: 9 }, () => NOW - 1),
      ),
    ];
    assert.equal(budget(LETSENCRYPT_LIMITS, past, [{ kind: 'duplicate', subject: 'a.example.org' }], NOW).allowedAt, NOW);
  });

  test('the tightest of all that is wanted decides', () => {
    const past = [
      ...uses(
        'duplicate',
        'a.example.org',
        Array.from({ length: 5 }, () => NOW - 6 * DAY),
      ),
      ...uses(
        'order',
        '',
        Array.from({ length: 300 }, () => NOW - HOUR),
      ),
    ];
    const wanted = [
      { kind: 'order', subject: '' },
      { kind: 'duplicate', subject: 'a.example.org' },
    ] as const;
    assert.equal(budget(LETSENCRYPT_LIMITS, past, wanted, NOW).allowedAt, NOW + DAY);
    assert.equal(budget(LETSENCRYPT_LIMITS, past, wanted.slice(0, 1), NOW).allowedAt, NOW + 2 * HOUR);
  });

  test('an issuer without limits, and a kind without one, is always free', () => {
    const past = uses(
      'order',
      '',
      Array.from({ length: 1000 }, () => NOW),
    );
    assert.deepEqual(budget([], past, [{ kind: 'order', subject: '' }], NOW), { allowedAt: NOW, rows: [] });
  });

  test('uses that a wrong clock dated years ahead do not block for years', () => {
    const past = uses(
      'duplicate',
      'a',
      Array.from({ length: 5 }, () => NOW + 3650 * DAY),
    );
    assert.equal(budget(LETSENCRYPT_LIMITS, past, [{ kind: 'duplicate', subject: 'a' }], NOW).allowedAt, NOW);
  });

  test('staging allows more of everything', () => {
    for (const { kind, count, window } of LETSENCRYPT_LIMITS) {
      const there = LETSENCRYPT_STAGING_LIMITS.find((limit) => limit.kind === kind);
      assert.ok(there !== undefined && there.count > count && there.window === window, kind);
    }
  });
});

/** Full at first, one more every `window / count`: how Let's Encrypt counts. */
function refusedByTokenBucket({ count, window }: RateLimit, times: readonly number[]): number {
  let tokens = count;
  let last = times[0] ?? 0;
  let refused = 0;
  for (const time of times) {
    tokens = Math.min(count, tokens + ((time - last) * count) / window);
    last = time;
    if (tokens < 1 - 1e-6) refused += 1;
    else tokens -= 1;
  }
  return refused;
}

test('whoever keeps to the budget is refused neither by a sliding window nor by a token bucket', () => {
  const random = randomStream('rate limits');
  for (let round = 0; round < scaled(1000); round += 1) {
    const limit: RateLimit = { kind: 'order', count: 1 + Math.floor(random() * 8), window: HOUR };
    const done: Use[] = [];
    let now = NOW;
    while (done.length < 60) {
      now += Math.floor(random() ** 6 * HOUR);
      const { allowedAt } = budget([limit], done, [{ kind: 'order', subject: '' }], now);
      assert.ok(allowedAt >= now && allowedAt <= now + limit.window);
      now = allowedAt;
      done.push(use('order', '', now));
    }
    const times = done.map(({ at }) => at);
    for (const [index, time] of times.entries()) {
      const before = times[index - limit.count];
      assert.ok(before === undefined || time - before >= limit.window, `use ${index} of limit ${limit.count}`);
    }
    assert.equal(refusedByTokenBucket(limit, times), 0, `limit ${limit.count}`);
  }
});
