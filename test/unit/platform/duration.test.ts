import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DAY, HOUR, MINUTE, SECOND } from '../../../src/platform/clock.ts';
import { formatDuration, parseDuration } from '../../../src/platform/duration.ts';

test('lengths of time are read', () => {
  const cases: [text: string, ms: number][] = [
    ['7d', 7 * DAY],
    ['12h', 12 * HOUR],
    ['90m', 90 * MINUTE],
    ['30s', 30 * SECOND],
    [' 1d ', DAY],
    ['36525d', 36_525 * DAY],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
});

test('what is no length of time is not read as one', () => {
  for (const text of ['', '7', 'd', '0s', '-1d', '1.5d', '7D', '1w', '1d12h', '7 d', '36526d', '99999999999999999999s', '٧d']) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test('a written length of time is the shortest that is read back as the same', () => {
  const cases: [ms: number, text: string][] = [
    [90 * DAY, '90d'],
    [36 * HOUR, '36h'],
    [90 * MINUTE, '90m'],
    [61 * SECOND, '61s'],
    [DAY + 400, '1d'],
    [0, '0s'],
  ];
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text);
  for (const text of ['90d', '36h', '90m', '61s']) assert.equal(formatDuration(parseDuration(text) ?? 0), text);
});
