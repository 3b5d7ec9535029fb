import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DAY, HOUR } from '../../../../src/platform/clock.ts';
import { runCron } from '../../../../src/services/certificates/cron.ts';
import { NOW, testClock, testService, testSpec } from '../../../support/certificate-service.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

test('one simulated year of the resident service renews each certificate at its planned time, and only then', async (t) => {
  const clock = testClock();
  const stop = new AbortController();
  const certificates = [
    testSpec(),
    testSpec({ name: 'short', lifetime: 6 * DAY }),
    testSpec({ name: 'long', lifetime: 397 * DAY, renewBefore: 30 * DAY, issuers: ['self-signed'] }),
  ];
  using opened = await testService(scratchDirectory(t), clock, { certificates, signal: stop.signal });
  const renewals: string[] = [];
  await runCron(
    { service: opened.service, trouble: undefined },
    {
      onPass({ results }) {
        for (const { spec, outcome } of results) {
          if (outcome === 'published') renewals.push(`${spec.name} ${((clock.now() - NOW) / DAY).toFixed(2)}`);
          else assert.equal(outcome, 'kept');
        }
        if (clock.now() > NOW + 366 * DAY) stop.abort();
      },
    },
  );
  console.log(`# renewals in one year, in days: ${renewals.join(', ')}`);
  const daysOf = (name: string): number[] => renewals.filter((one) => one.startsWith(`${name} `)).map((one) => Number(one.split(' ')[1]));
  assertSpacing(daysOf('default'), 83, 5);
  assertSpacing(daysOf('short'), 4, 92);
  assert.deepEqual(daysOf('long').length, 1);
  assert.deepEqual(
    opened.notices.filter(({ kind }) => kind !== 'renewal'),
    [],
  );
});

/** Each renewal comes `days` after the one before, less the issuer's backdating of at most an hour. */
function assertSpacing(days: readonly number[], expected: number, count: number): void {
  assert.equal(days.length, count);
  for (const [index, day] of days.entries()) {
    const gap = index === 0 ? expected : day - (days[index - 1] ?? 0);
    assert.ok(Math.abs(gap - expected) <= (2 * HOUR) / DAY, `renewal ${index} came ${gap} days after the one before`);
  }
}
