import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { IssueFailure } from '../../../../src/issuers/acme/failure.ts';
import { DAY, HOUR, MINUTE } from '../../../../src/platform/clock.ts';
import { readCurrent } from '../../../../src/publication/read.ts';
import { ACME, acmePlace, refusing } from '../../../support/acme-place.ts';
import { NOW, testSpec } from '../../../support/certificate-service.ts';
import { fakeAcmeConfig } from '../../../support/fake-acme-issuer.ts';

describe('a stack with an ACME issuer', () => {
  test('boots on a placeholder, which the first real certificate replaces in the same pass', async (t) => {
    const { pass, published, fake } = await acmePlace(t);
    const { results } = await pass();
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      ['published'],
    );
    assert.deepEqual(fake.orders, ['default']);
    assert.deepEqual(fake.settled, ['default']);
    const now = await published();
    assert.deepEqual([now?.issuer, now?.placeholder, now?.generation], ['public', false, 2]);
  });

  test('init asks no server: it publishes the placeholder and leaves the order to whoever comes next', async (t) => {
    const { pass, published, fake, clock } = await acmePlace(t);
    const { results } = await pass({ orders: 'later', readAll: true });
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      ['placeholder'],
    );
    assert.deepEqual(fake.orders, []);
    const placeholder = await published();
    assert.equal(placeholder?.placeholder, true);
    assert.ok(Math.abs((placeholder?.notAfter ?? 0) - clock.now() - 7 * DAY) < 2 * HOUR);
    await pass();
    assert.equal((await published())?.issuer, 'public');
  });

  test('serves something valid at every moment of 60 days in which its CA gives nothing', async (t) => {
    const { pass, published, fake, clock } = await acmePlace(t);
    fake.refuse = refusing({ kind: 'unreachable' });
    for (let hours = 0; hours <= 60 * 24; hours += 6) {
      clock.set(NOW + hours * HOUR);
      await pass();
      const now = await published();
      assert.ok(now !== undefined && now.notAfter > clock.now() + 2 * DAY, `after ${hours} h: ${JSON.stringify(now)}`);
    }
    fake.refuse = undefined;
    clock.set(NOW + 62 * DAY);
    await pass();
    assert.equal((await published())?.issuer, 'public');
  });

  test('started a hundred times in a row while the CA fails, orders as often as the back-off allows', async (t) => {
    const { pass, fake, clock } = await acmePlace(t);
    fake.refuse = refusing({ kind: 'server' });
    for (let starts = 0; starts < 100; starts += 1) {
      clock.set(NOW + starts * 10_000);
      await pass({ readAll: true });
    }
    // 0, 1 and 11 minutes: a hundred starts at ten seconds take 16 minutes.
    assert.equal(fake.orders.length, 3);
  });

  test('keeps its real certificate when the CA fails at renewal, and falls back to no later issuer before the emergency line', async (t) => {
    const spec = { ...ACME, issuers: ['public', 'local-ca'] };
    const { pass, published, fake, clock } = await acmePlace(t, [spec]);
    await pass();
    fake.refuse = refusing({ kind: 'rejected' });
    for (let day = 0; day < 82; day += 1) {
      clock.set(NOW + day * DAY);
      await pass();
      assert.equal((await published())?.issuer, 'public', `day ${day}`);
    }
    clock.set(NOW + 84 * DAY);
    await pass();
    assert.equal((await published())?.issuer, 'local-ca');
  });
});

describe('several issuers', () => {
  const TWO = [fakeAcmeConfig('public'), fakeAcmeConfig('house')];
  const spec = { ...ACME, issuers: ['public', 'house'] };

  test('the second is asked at once when the first will not issue whatever is repeated', async (t) => {
    const { pass, published, fake } = await acmePlace(t, [spec], ...TWO);
    let asked = 0;
    fake.refuse = () => {
      asked += 1;
      if (asked === 1) throw new IssueFailure('no', { kind: 'caa' });
    };
    const { results } = await pass();
    assert.equal((await published())?.issuer, 'house');
    assert.match(results[0]?.warnings.join() ?? '', /no/);
  });

  test('the first is asked again every day, and the second, which stepped in, is renewed on time all the same', async (t) => {
    const { pass, published, fake, clock } = await acmePlace(t, [spec], ...TWO);
    let firstFails = true;
    fake.refuse = (_, issuer) => {
      if (issuer === 'public' && firstFails) throw new IssueFailure('no', { kind: 'caa' });
    };
    for (let hours = 0; hours < 70 * 24; hours += 4) {
      clock.set(NOW + hours * HOUR);
      await pass();
      const now = await published();
      assert.deepEqual([now?.issuer, (now?.notAfter ?? 0) > clock.now() + 20 * DAY], ['house', true], `after ${hours} h`);
    }
    const asked = fake.orders.length;
    assert.ok(asked > 65 && asked < 80, `${asked} orders in 70 days`);
    firstFails = false;
    clock.set(NOW + 72 * DAY);
    await pass();
    assert.equal((await published())?.issuer, 'public');
  });

  test('a first that is away for some minutes is waited for, on the placeholder', async (t) => {
    const { pass, published, fake, clock } = await acmePlace(t, [spec], ...TWO);
    fake.refuse = refusing({ kind: 'unreachable' });
    await pass();
    assert.equal((await published())?.placeholder, true);
    assert.deepEqual(fake.orders, ['default']);
    fake.refuse = undefined;
    clock.set(NOW + 2 * MINUTE);
    await pass();
    assert.equal((await published())?.issuer, 'public');
  });
});

describe('limits', () => {
  test('what the CA says of all orders holds for all certificates: none asks again before', async (t) => {
    const certificates = Array.from({ length: 30 }, (_, index) =>
      testSpec({ name: `c${index}`, issuers: ['public'], names: [`c${index}.example.org`] }),
    );
    const { pass, fake, clock, open } = await acmePlace(t, certificates);
    fake.refuse = refusing({ kind: 'rate-limited', scope: 'issuer', retryAt: NOW + 2 * HOUR, unpauseUrl: 'https://ca.example/unpause' });
    await pass();
    const first = fake.orders.length;
    assert.ok(first <= 10, `${first} orders were made before the hold was seen`);
    for (let minutes = 1; minutes < 120; minutes += 7) {
      clock.set(NOW + minutes * MINUTE);
      await pass({ readAll: true });
    }
    assert.equal(fake.orders.length, first);
    assert.equal(await open(({ ledger }) => ledger.hold('public')?.link), 'https://ca.example/unpause');
    fake.refuse = undefined;
    clock.set(NOW + 2 * HOUR + 5 * MINUTE);
    await pass();
    clock.set(NOW + 2 * DAY);
    const { results } = await pass({ readAll: true });
    assert.deepEqual([...new Set(results.map(({ current }) => (current.state === 'published' ? current.issuer : '')))], ['public']);
  });

  test('an ordinary order waits for the next slot; --force goes on and says what it costs; a renewal in the window costs nothing', async (t) => {
    const limited = fakeAcmeConfig('public', { limits: [{ kind: 'duplicate', count: 2, window: 7 * DAY }] });
    const { pass, fake, clock, open } = await acmePlace(t, [ACME], limited);
    const note = (at: number): Promise<void> =>
      open(({ ledger }) => ledger.recordUse({ issuer: 'public', kind: 'duplicate', subject: 'example.org,www.example.org', at }));
    await pass();
    await note(NOW);
    await note(NOW + HOUR);
    clock.set(NOW + 65 * DAY);
    await note(clock.now() - DAY);
    await note(clock.now() - HOUR);
    const { results } = await pass();
    assert.deepEqual([results[0]?.outcome, results[0]?.decision.reason], ['waiting', 'rate-limited']);
    assert.equal(results[0]?.decision.nextLook, clock.now() + 6 * DAY);
    assert.match(results[0]?.decision.detail ?? '', /2 of 2 certificates for exactly these names used in 7 days/);
    assert.equal(fake.orders.length, 1);
    const forced = await pass({ force: true });
    assert.equal(forced.results[0]?.outcome, 'published');
    assert.match(forced.results[0]?.warnings.join() ?? '', /counts against the limits of public: 2 of 2/);
  });

  test('a dry run says what an order would cost', async (t) => {
    const limited = fakeAcmeConfig('public', { limits: [{ kind: 'order', count: 300, window: 3 * HOUR }] });
    const { pass } = await acmePlace(t, [ACME], limited);
    const { results } = await pass({ dryRun: true });
    assert.match(results[0]?.warnings.join() ?? '', /0 of 300 orders used in 3 h/);
  });
});

describe('advice', () => {
  test('is asked for right after issuance, its time is kept, and the order in the window says what it replaces', async (t) => {
    const { pass, published, fake, clock, open } = await acmePlace(
      t,
      [ACME],
      fakeAcmeConfig('public', { limits: [{ kind: 'duplicate', count: 1, window: 7 * DAY }] }),
    );
    const window = { start: NOW + 20 * DAY, end: NOW + 22 * DAY, explanationUrl: 'https://ca.example/why' };
    let asked = 0;
    fake.advise = async () => {
      asked += 1;
      return { value: window, retryAfter: 6 * HOUR };
    };
    await pass();
    assert.equal(asked, 1);
    const chosen = await open(({ ledger }) => ledger.advice('default')?.chosen);
    assert.ok(chosen !== undefined && chosen >= window.start && chosen <= window.end);
    for (let hours = 6; hours < 20 * 24; hours += 6) {
      clock.set(NOW + hours * HOUR);
      await pass();
      assert.equal(await open(({ ledger }) => ledger.advice('default')?.chosen), chosen);
    }
    assert.deepEqual(fake.orders, ['default']);
    await open(({ ledger }) =>
      ledger.recordUse({ issuer: 'public', kind: 'duplicate', subject: 'example.org,www.example.org', at: clock.now() }),
    );
    clock.set(chosen + MINUTE);
    const { results } = await pass();
    assert.deepEqual([results[0]?.outcome, results[0]?.decision.reason], ['published', 'advised']);
    assert.match(results[0]?.decision.detail ?? '', /https:\/\/ca\.example\/why/);
    assert.deepEqual(fake.orders, ['default', 'default replaces']);
    assert.equal((await published())?.generation, 3);
  });

  test('that cannot be had renews at two thirds of the lifetime', async (t) => {
    const { pass, fake, clock } = await acmePlace(t);
    fake.advise = async () => {
      throw new TypeError('nonsense');
    };
    await pass();
    clock.set(NOW + 59 * DAY);
    await pass();
    assert.equal(fake.orders.length, 1);
    clock.set(NOW + 60 * DAY + HOUR);
    await pass();
    assert.equal(fake.orders.length, 2);
  });

  test('to renew now is followed at once', async (t) => {
    const { pass, fake, clock } = await acmePlace(t);
    await pass();
    fake.advise = async () => ({ value: { start: NOW - DAY, end: NOW - HOUR, explanationUrl: undefined }, retryAfter: 6 * HOUR });
    clock.set(NOW + 7 * HOUR);
    const { results } = await pass();
    assert.equal(results[0]?.decision.reason, 'advised');
    assert.equal(fake.orders.length, 2);
  });
});

test('a rehearsal goes the whole way and publishes nothing; once it succeeded it is not repeated at every look', async (t) => {
  const rehearsing = fakeAcmeConfig('public', { rehearse: 'https://staging.invalid/directory' });
  const { pass, published, fake, clock } = await acmePlace(t, [ACME], rehearsing);
  const { results } = await pass();
  assert.equal(results[0]?.outcome, 'rehearsed');
  assert.equal((await published())?.placeholder, true);
  for (let hours = 1; hours < 72; hours += 7) {
    clock.set(NOW + hours * HOUR);
    await pass({ readAll: true });
  }
  assert.deepEqual(fake.orders, ['default']);
});

test('what was revoked is replaced at once', async (t) => {
  const { pass, published, fake, open, state } = await acmePlace(t);
  await pass();
  const current = await readCurrent(join(state, 'certificates'), 'default');
  const leafSha256 = current?.manifest.leafSha256 ?? '';
  await open(({ ledger }) => ledger.keepRevocation({ leafSha256, certificate: 'default', at: NOW, reason: 'keyCompromise' }));
  const { results } = await pass({ readAll: true });
  assert.deepEqual([results[0]?.outcome, results[0]?.decision.reason], ['published', 'revoked']);
  assert.equal(fake.orders.length, 2);
  assert.equal((await published())?.generation, 3);
});

test('two processes that find the same certificate due order it once', async (t) => {
  const { pass, fake } = await acmePlace(t);
  await Promise.all([pass({ readAll: true }), pass({ readAll: true })]);
  assert.deepEqual(fake.orders, ['default']);
});
