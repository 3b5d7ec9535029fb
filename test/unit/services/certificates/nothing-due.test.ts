import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { configDigest } from '../../../../src/config/load.ts';
import { statePaths } from '../../../../src/config/state.ts';
import { DAY } from '../../../../src/platform/clock.ts';
import { noteJudgedBy } from '../../../../src/services/certificates/judged-by.ts';
import { nothingDue } from '../../../../src/services/certificates/nothing-due.ts';
import { runPass } from '../../../../src/services/certificates/pass.ts';
import { NOW, testClock, testService, testSpec } from '../../../support/certificate-service.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

const MANY = Array.from({ length: 101 }, (_, index) => testSpec({ name: `c${index}` }));

/** A state in which 101 certificates were judged by the default configuration, and how to ask whether any is due. */
async function judged(t: Parameters<typeof scratchDirectory>[0]) {
  const state = scratchDirectory(t);
  const clock = testClock();
  const source = { env: {}, cwd: state };
  {
    using opened = await testService(state, clock, { certificates: MANY });
    await runPass(opened.service);
    noteJudgedBy(opened.service.ledger, await configDigest(source));
  }
  return { state, clock, source, ask: () => nothingDue(statePaths(state, '/'), source, clock.now()) };
}

test('what nobody changed is not due, and every day leaves its mark in the ledger', async (t) => {
  const { state, clock, ask } = await judged(t);
  for (let day = 1; day < 60; day += 1) {
    clock.set(NOW + day * DAY);
    assert.equal((await ask())?.certificates, MANY.length);
  }
  clock.set(NOW + 20 * DAY);
  using opened = await testService(state, clock, { certificates: MANY });
  const { results } = await runPass(opened.service);
  assert.equal(results[0]?.decision.reason, 'clock-behind');
});

test('a resident service that has not read the new configuration yet makes the next renew look itself', async (t) => {
  const { state, clock, source, ask } = await judged(t);
  const older = MANY.slice(0, 100);
  {
    using resident = await testService(state, clock, { certificates: [...older, testSpec({ name: 'removed' })] });
    await runPass(resident.service, { readAll: true });
  }
  assert.equal(await ask(), undefined);

  using again = await testService(state, clock, { certificates: MANY });
  await runPass(again.service);
  noteJudgedBy(again.service.ledger, await configDigest(source));
  assert.notEqual(await ask(), undefined);
  const otherwise = MANY.map((spec) => ({ ...spec, renewBefore: 1 * DAY }));
  using resident = await testService(state, clock, { certificates: otherwise });
  await runPass(resident.service, { readAll: true });
  assert.equal(await ask(), undefined);
});

test('after a clock that was ahead one certificate alone does not hide the others', async (t) => {
  const { state, clock, ask } = await judged(t);
  clock.set(NOW + 3650 * DAY);
  {
    using ahead = await testService(state, clock, { certificates: MANY });
    await runPass(ahead.service);
  }
  clock.set(NOW + DAY);
  using back = await testService(state, clock, { certificates: MANY });
  await runPass(back.service, { names: new Set(['c0']) });
  assert.equal(await ask(), undefined);
  const { results } = await runPass(back.service);
  assert.equal(results.length, MANY.length - 1);
});

test('a ledger that is garbage is no reason to say that nothing is due', async (t) => {
  const { state, ask } = await judged(t);
  writeFileSync(join(state, 'authority', 'ledger.sqlite'), 'x'.repeat(5000));
  assert.equal(await ask(), undefined);
});
