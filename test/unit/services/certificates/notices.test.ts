import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DAY, HOUR } from '../../../../src/platform/clock.ts';
import { runPass } from '../../../../src/services/certificates/pass.ts';
import { NOW, testClock, testService } from '../../../support/certificate-service.ts';
import { refusingIssuers } from '../../../support/fake-acme-issuer.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

test('an emergency that begins between two tries is told once, however often somebody looks in between', async (t) => {
  const state = scratchDirectory(t);
  const clock = testClock();
  const told: string[] = [];
  for (let hour = 0; hour <= 90 * 24; hour += 4) {
    if (hour > 0 && hour < 80 * 24) continue;
    clock.set(NOW + hour * HOUR);
    using opened = await testService(state, clock, hour === 0 ? {} : { issuers: refusingIssuers() });
    await runPass(opened.service, { readAll: true });
    told.push(...opened.notices.map(({ kind }) => `${Math.floor(hour / 24)} ${kind}`));
  }
  assert.deepEqual(told, ['0 renewal', '83 failure', '86 emergency']);
});

test('a clock that was behind and is right again is told, once, as it was told that it was wrong', async (t) => {
  const state = scratchDirectory(t);
  const clock = testClock();
  const told: string[] = [];
  for (const [at, passes] of [
    [NOW, 1],
    [NOW - 3650 * DAY, 3],
    [NOW + DAY, 3],
  ] as const) {
    clock.set(at);
    using opened = await testService(state, clock);
    for (let pass = 0; pass < passes; pass += 1) await runPass(opened.service, { readAll: true });
    told.push(...opened.notices.map(({ kind, certificate }) => `${kind} ${certificate}`));
  }
  assert.deepEqual(told, ['renewal default', 'emergency null', 'recovery null']);
});
