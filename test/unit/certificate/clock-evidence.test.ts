import assert from 'node:assert/strict';
import { test } from 'node:test';

import { judgeClock } from '../../../src/certificate/clock-evidence.ts';
import { DAY } from '../../../src/platform/clock.ts';

const TODAY = Date.parse('2026-11-23T00:00:00Z');
const none = { newest: undefined, firstAhead: undefined, lastBefore: undefined };

test('without any record the clock is believed', () => {
  assert.equal(judgeClock(none, TODAY), 'right');
});

test('a few hours behind the newest event mean nothing', () => {
  assert.equal(judgeClock({ ...none, newest: TODAY + DAY / 2 }, TODAY), 'right');
});

test('a clock ten years behind a record of every day is wrong', () => {
  const now = TODAY - 3650 * DAY;
  assert.equal(judgeClock({ newest: TODAY, firstAhead: TODAY - 20 * DAY, lastBefore: undefined }, now), 'behind');
});

test('a clock two months behind a record that goes on day by day is wrong', () => {
  const now = TODAY - 60 * DAY;
  assert.equal(judgeClock({ newest: TODAY, firstAhead: now + 1.5 * DAY, lastBefore: now + 0.5 * DAY }, now), 'behind');
});

test('a clock that was ten years ahead and is back is believed again', () => {
  const ahead = TODAY + 3650 * DAY;
  assert.equal(judgeClock({ newest: ahead + DAY, firstAhead: ahead, lastBefore: TODAY - DAY }, TODAY), 'was-ahead');
});

test('a clock behind what was recorded before the jump is wrong, jump or not', () => {
  const ahead = TODAY + 3650 * DAY;
  assert.equal(judgeClock({ newest: ahead, firstAhead: ahead, lastBefore: TODAY }, TODAY - 400 * DAY), 'behind');
});
