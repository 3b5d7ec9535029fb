import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { DAY, HOUR, MINUTE } from '../../../../src/platform/clock.ts';
import { currentLink } from '../../../../src/publication/layout.ts';
import { readCurrent } from '../../../../src/publication/read.ts';
import { runPass } from '../../../../src/services/certificates/pass.ts';
import type { Issuers } from '../../../../src/services/certificates/service.ts';
import { NOW, testClock, testService, testSpec } from '../../../support/certificate-service.ts';
import { refusingIssuers } from '../../../support/fake-acme-issuer.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

describe('a pass', () => {
  test('makes what is missing, and a second one finds nothing to do', async (t) => {
    const state = scratchDirectory(t);
    const clock = testClock();
    {
      using first = await testService(state, clock);
      const { results } = await runPass(first.service);
      assert.deepEqual(
        results.map(({ outcome, decision }) => [outcome, decision.reason]),
        [['published', 'missing']],
      );
    }
    const link = currentLink(join(state, 'certificates'), 'default');
    clock.set(NOW + 82 * DAY);
    using again = await testService(state, clock);
    assert.deepEqual((await runPass(again.service)).skipped, 1);
    const full = await runPass(again.service, { readAll: true });
    assert.equal(full.results[0]?.outcome, 'kept');
    assert.equal(currentLink(join(state, 'certificates'), 'default'), link);
  });

  test('renews what another process corrupted, and says why', async (t) => {
    const state = scratchDirectory(t);
    using opened = await testService(state, testClock());
    await runPass(opened.service);
    writeFileSync(join(state, 'certificates/default/..gen-000001/cert.pem'), 'garbage');
    const { results } = await runPass(opened.service, { readAll: true });
    assert.deepEqual([results[0]?.outcome, results[0]?.decision.reason], ['published', 'corrupt']);
    assert.match(results[0]?.decision.detail ?? '', /cert\.pem/);
    assert.equal((await readCurrent(join(state, 'certificates'), 'default'))?.number, 2);
  });

  test('one failing certificate stops no other', async (t) => {
    const state = scratchDirectory(t);
    const certificates = [testSpec(), testSpec({ name: 'bad', issuers: ['nowhere'] }), testSpec({ name: 'other' })];
    using opened = await testService(state, testClock(), { certificates });
    const { results } = await runPass(opened.service);
    assert.deepEqual(Object.fromEntries(results.map(({ spec, outcome }) => [spec.name, outcome])), {
      default: 'published',
      bad: 'failed',
      other: 'published',
    });
  });

  test('a dry run decides and changes nothing', async (t) => {
    const state = scratchDirectory(t);
    using opened = await testService(state, testClock());
    const { results } = await runPass(opened.service, { dryRun: true });
    assert.deepEqual([results[0]?.outcome, results[0]?.decision.reason], ['planned', 'missing']);
    assert.equal(currentLink(join(state, 'certificates'), 'default'), undefined);
    assert.deepEqual(opened.service.ledger.events(), []);
  });

  test('the next issuer in the list is asked when the first cannot', async (t) => {
    const state = scratchDirectory(t);
    using real = await testService(state, testClock());
    const issuers: Issuers = {
      ...real.service.issuers,
      acme: (name) => refusingIssuers().acme(name),
    };
    using opened = await testService(state, testClock(), { certificates: [testSpec({ issuers: ['first', 'local-ca'] })], issuers });
    const { results } = await runPass(opened.service);
    assert.deepEqual([results[0]?.outcome, results[0]?.manifest?.issuer], ['published', 'local-ca']);
    assert.match(results[0]?.warnings.join() ?? '', /the issuer refused/);
  });
});

describe('failures', () => {
  test('are on record before another process gets the lock', async (t) => {
    const state = scratchDirectory(t);
    const clock = testClock();
    using waiting = await testService(state, clock);
    using opened = await testService(state, clock, { issuers: refusingIssuers() });
    let atRelease: number | undefined;
    const { ledger } = opened.service;
    const watched = {
      ...opened.service,
      ledger: {
        ...ledger,
        keepFailure: (...[certificate, failure]: Parameters<typeof ledger.keepFailure>) => {
          ledger.keepFailure(certificate, failure);
          atRelease = Number(existsSync(join(state, 'certificates/.lock.holder')));
        },
      },
    };
    await runPass(watched);
    assert.equal(atRelease, 1);
    assert.equal((await runPass(waiting.service, { readAll: true })).results[0]?.decision.reason, 'backing-off');
  });

  test('are retried after 1, 10 and 100 minutes, then daily; restarts in between change nothing', async (t) => {
    const state = scratchDirectory(t);
    const clock = testClock();
    const tries: number[] = [];
    for (let minutes = 0; minutes < 3000; minutes += 1) {
      clock.set(NOW + minutes * MINUTE);
      using opened = await testService(state, clock, { issuers: refusingIssuers() });
      const { results } = await runPass(opened.service);
      if (results.some(({ outcome }) => outcome === 'failed')) tries.push(minutes);
    }
    assert.deepEqual(tries, [0, 1, 11, 111, 1551, 2991]);
  });

  test('leave what is published as it was', async (t) => {
    const state = scratchDirectory(t);
    const clock = testClock();
    using good = await testService(state, clock);
    await runPass(good.service);
    clock.set(NOW + 84 * DAY);
    using bad = await testService(state, clock, { issuers: refusingIssuers() });
    const { results } = await runPass(bad.service);
    assert.equal(results[0]?.outcome, 'failed');
    assert.equal((await readCurrent(join(state, 'certificates'), 'default'))?.number, 1);
  });

  test('with a damaged current generation go back to the newest kept one that is whole', async (t) => {
    const state = scratchDirectory(t);
    const clock = testClock();
    using good = await testService(state, clock);
    await runPass(good.service);
    await runPass(good.service, { force: true });
    rmSync(join(state, 'certificates/default/..gen-000002/privkey.pem'));
    using bad = await testService(state, clock, { issuers: refusingIssuers() });
    const { results } = await runPass(bad.service, { readAll: true });
    assert.equal(results[0]?.outcome, 'failed');
    assert.match(results[0]?.warnings.join() ?? '', /went back to generation 1/);
    assert.equal((await readCurrent(join(state, 'certificates'), 'default'))?.number, 1);
  });

  test('are told once when they begin, once when it gets serious, and once when it is over', async (t) => {
    const state = scratchDirectory(t);
    const clock = testClock();
    const told: string[] = [];
    for (let day = 0; day <= 95; day += 0.25) {
      clock.set(NOW + day * DAY);
      const broken = day > 80 && day < 88;
      using opened = await testService(state, clock, broken ? { issuers: refusingIssuers() } : {});
      await runPass(opened.service);
      told.push(...opened.notices.map(({ kind }) => `${Math.floor(day)} ${kind}`));
    }
    assert.deepEqual(told, ['0 renewal', '83 failure', '86 emergency', '88 renewal', '88 recovery']);
  });
});

describe('a wrong clock', () => {
  test('ten years ahead and back again: the kept generation is served, and renewal goes on', async (t) => {
    const state = scratchDirectory(t);
    const root = join(state, 'certificates');
    const clock = testClock();
    for (let day = 0; day < 5; day += 1) {
      clock.set(NOW + day * DAY);
      using opened = await testService(state, clock);
      await runPass(opened.service, { readAll: true });
    }
    clock.set(NOW + 3650 * DAY);
    using ahead = await testService(state, clock);
    assert.equal((await runPass(ahead.service)).results[0]?.decision.reason, 'expired');
    clock.set(NOW + 5 * DAY);
    using back = await testService(state, clock);
    const { results } = await runPass(back.service);
    assert.deepEqual([results[0]?.outcome, results[0]?.decision.reason], ['restored', 'from-the-future']);
    assert.equal((await readCurrent(root, 'default'))?.number, 1);
    clock.set(NOW + 83 * DAY + HOUR);
    using later = await testService(state, clock);
    assert.equal((await runPass(later.service)).results[0]?.decision.reason, 'renewal-time');
  });

  test('ten years behind and back again: nothing is issued, alarm once, nothing is lost', async (t) => {
    const state = scratchDirectory(t);
    const clock = testClock();
    using first = await testService(state, clock);
    await runPass(first.service);
    clock.set(NOW - 3650 * DAY);
    using behind = await testService(state, clock);
    for (let pass = 0; pass < 3; pass += 1) {
      const { results } = await runPass(behind.service, { readAll: true });
      assert.deepEqual([results[0]?.outcome, results[0]?.decision.reason], ['waiting', 'clock-behind']);
    }
    assert.deepEqual(
      behind.notices.map(({ kind }) => kind),
      ['emergency'],
    );
    clock.set(NOW + DAY);
    using back = await testService(state, clock);
    assert.equal((await runPass(back.service, { readAll: true })).results[0]?.outcome, 'kept');
    assert.equal(currentLink(join(state, 'certificates'), 'default'), '..gen-000001');
  });
});

test('a lost ledger costs history only: it is rebuilt from the publication and nothing is issued', async (t) => {
  const state = scratchDirectory(t);
  const clock = testClock();
  {
    using first = await testService(state, clock);
    await runPass(first.service);
  }
  writeFileSync(join(state, 'authority/ledger.sqlite'), 'x'.repeat(5000));
  using again = await testService(state, clock);
  assert.match(again.warnings.join(), /damaged.*set aside/);
  assert.equal(again.service.ledger.events()[0]?.kind, 'rebuilt');
  assert.equal((await runPass(again.service)).results[0]?.outcome, 'kept');
});
