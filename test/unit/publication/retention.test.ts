import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { DAY, HOUR, MINUTE } from '../../../src/platform/clock.ts';
import { removable, type Kept, type Terms } from '../../../src/publication/retention.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');

/** Generations 1, 2, … that ended at these times; the last one is current. */
function ended(...times: number[]): Kept[] {
  return [...times, NOW].map((endedAt, index) => ({ number: index + 1, endedAt }));
}

function terms(changes: Partial<Terms> = {}): Terms {
  return { current: 4, lastGood: undefined, now: NOW, urgent: false, ...changes };
}

describe('a generation is removed', () => {
  test('when three newer ones are there and it ended long ago', () => {
    assert.deepEqual(removable(ended(NOW - 120 * DAY, NOW - 60 * DAY, NOW), terms()), [1]);
  });

  test('never when it is among the newest three, however old', () => {
    assert.deepEqual(removable(ended(NOW - 900 * DAY, NOW - 800 * DAY), terms({ current: 3 })), []);
  });

  test('never when it is the last good one', () => {
    assert.deepEqual(removable(ended(NOW - 120 * DAY, NOW - 60 * DAY, NOW), terms({ lastGood: 1 })), []);
  });

  test('never when it is current, as after a return to an old one', () => {
    const kept = ended(NOW - 120 * DAY, NOW - 60 * DAY, NOW - 30 * DAY, NOW);
    assert.deepEqual(removable(kept, terms({ current: 1 })), [2]);
  });

  test('not within an hour after it ended, whatever was published since', () => {
    const kept = ended(...[50, 40, 30, 20, 10, 0].map((minutes) => NOW - minutes * MINUTE));
    assert.deepEqual(removable(kept, terms({ current: 7 })), []);
    assert.deepEqual(removable(kept, terms({ current: 7, now: NOW + 9 * MINUTE })), []);
    assert.deepEqual(removable(kept, terms({ current: 7, now: NOW + 10 * MINUTE })), [1]);
  });

  test('at once when the disk is full, but never the newest three, the current or the last good one', () => {
    const kept = ended(...[6, 5, 4, 3, 2, 1].map((minutes) => NOW - minutes * MINUTE));
    assert.deepEqual(removable(kept, terms({ current: 7, lastGood: 2, urgent: true })), [1, 3, 4]);
    assert.deepEqual(removable(kept, terms({ current: 1, lastGood: undefined, urgent: true })), [2, 3, 4]);
  });
});

describe('a clock that jumps', () => {
  test('ten years ahead makes nothing old that ended minutes ago', () => {
    const ahead = NOW + 3650 * DAY;
    assert.deepEqual(removable(ended(NOW - 3 * MINUTE, NOW - 2 * MINUTE, NOW - MINUTE), terms({ now: ahead })), []);
    const times = [NOW - 3 * MINUTE, NOW - 2 * MINUTE, NOW - MINUTE, ahead, ahead + MINUTE];
    const after = times.map((endedAt, index) => ({ number: index + 1, endedAt }));
    assert.deepEqual(removable([...after, { number: 6, endedAt: 0 }], terms({ current: 6, now: ahead + MINUTE })), []);
  });

  test('back only keeps more, and no longer than until renewals go on', () => {
    const ahead = NOW + 3650 * DAY;
    const kept: Kept[] = [ahead, ahead + MINUTE, NOW, NOW + 60 * DAY, NOW + 120 * DAY].map((endedAt, index) => ({
      number: index + 1,
      endedAt,
    }));
    assert.deepEqual(removable(kept.slice(0, 4), terms({ current: 4, now: NOW + MINUTE })), []);
    assert.deepEqual(removable(kept, terms({ current: 5, now: NOW + 60 * DAY })), []);
    assert.deepEqual(removable([...kept, { number: 6, endedAt: 0 }], terms({ current: 6, now: NOW + 120 * DAY })), [1, 2, 3]);
  });
});

test('after a return to an older generation its second end counts', () => {
  // 2 was replaced by 3 a day ago, returned to, and replaced by 4 ten minutes ago.
  const kept: Kept[] = [
    { number: 2, endedAt: NOW - 20 * MINUTE },
    { number: 3, endedAt: NOW - 20 * HOUR },
    { number: 4, endedAt: NOW - 10 * MINUTE },
    { number: 5, endedAt: NOW },
    { number: 6, endedAt: 0 },
  ];
  assert.deepEqual(removable(kept, terms({ current: 6 })), []);
  assert.deepEqual(removable(kept, terms({ current: 6, now: NOW + 20 * MINUTE })), [3]);
});
