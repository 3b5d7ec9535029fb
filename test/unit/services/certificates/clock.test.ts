import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { DAY, HOUR } from '../../../../src/platform/clock.ts';
import { readCurrent } from '../../../../src/publication/read.ts';
import { heartbeat } from '../../../../src/services/certificates/heartbeat.ts';
import { runPass } from '../../../../src/services/certificates/pass.ts';
import { NOW, testClock, testService } from '../../../support/certificate-service.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

async function day(state: string, clock: ReturnType<typeof testClock>, at: number): Promise<readonly (string | undefined)[]> {
  clock.set(at);
  using opened = await testService(state, clock);
  const { results } = await runPass(opened.service, { readAll: true });
  heartbeat(opened.service.ledger, 1, at);
  return [results[0]?.outcome, results[0]?.decision.reason];
}

test('a resident service that ran with a clock ten years ahead forgets nothing that it needs when the clock is back', async (t) => {
  const state = scratchDirectory(t);
  const clock = testClock();
  for (let days = 0; days < 5; days += 1) await day(state, clock, NOW + days * DAY);
  for (let days = 0; days < 3; days += 1) await day(state, clock, NOW + (3650 + days) * DAY);
  assert.deepEqual(await day(state, clock, NOW + 5 * DAY), ['restored', 'from-the-future']);
  assert.equal((await readCurrent(join(state, 'certificates'), 'default'))?.number, 1);
});

test('a clock 40 days behind is wrong for who only ever runs renew by a timer: nothing good is replaced', async (t) => {
  const state = scratchDirectory(t);
  const clock = testClock();
  for (let days = 0; days <= 84; days += 1) await day(state, clock, NOW + days * DAY + HOUR);
  assert.equal((await readCurrent(join(state, 'certificates'), 'default'))?.number, 2);
  assert.deepEqual(await day(state, clock, NOW + 44 * DAY), ['waiting', 'clock-behind']);
  assert.equal((await readCurrent(join(state, 'certificates'), 'default'))?.number, 2);
});
