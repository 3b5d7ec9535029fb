import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { parseIdentifier } from '../../../../src/certificate/identifier.ts';
import type { ChallengeSolver } from '../../../../src/challenges/solver.ts';
import { IssueFailure } from '../../../../src/issuers/acme/failure.ts';
import { DAY, HOUR, MINUTE } from '../../../../src/platform/clock.ts';
import { PodserveError } from '../../../../src/platform/errors.ts';
import { readCurrent } from '../../../../src/publication/read.ts';
import { checkCertificate } from '../../../../src/services/certificates/check.ts';
import { heartbeat } from '../../../../src/services/certificates/heartbeat.ts';
import { look } from '../../../../src/services/certificates/look.ts';
import { configuredService } from '../../../../src/services/certificates/open.ts';
import { lockOrder } from '../../../../src/services/certificates/order-lock.ts';
import { runPass, type PassReport } from '../../../../src/services/certificates/pass.ts';
import { revokePublished } from '../../../../src/services/certificates/revoke.ts';
import type { CertificateService } from '../../../../src/services/certificates/service.ts';
import { unattended } from '../../../../src/services/certificates/unattended.ts';
import { ACME, acmePlace, refusing, type AcmePlace } from '../../../support/acme-place.ts';
import { NOW, testClock, testService } from '../../../support/certificate-service.ts';
import { fakeAcmeConfig } from '../../../support/fake-acme-issuer.ts';
import { freePort, scratchDirectory } from '../../../support/scratch.ts';

test('a built-in CA that cannot make the placeholder does not keep the real certificate from being ordered', async (t) => {
  const { pass, published, fake } = await acmePlace(t);
  fake.issuers.localCa = async () => {
    throw new PodserveError('AUTHORITY_UNREADABLE', 'the built-in CA cannot be read');
  };
  const { results, warnings } = await pass();
  assert.deepEqual(
    results.map(({ outcome }) => outcome),
    ['published'],
  );
  assert.equal((await published())?.issuer, 'public');
  assert.match(warnings.join(), /the built-in CA cannot be read/);
});

test('with nothing published and a CA that wants to be left alone, the placeholder is tried again in a minute', async (t) => {
  const { pass, published, fake, clock, open } = await acmePlace(t);
  const real = { ...fake.issuers };
  fake.issuers.localCa = async () => {
    throw new PodserveError('AUTHORITY_UNWRITABLE', 'the disk is full');
  };
  fake.refuse = refusing({ kind: 'rate-limited', scope: 'issuer', retryAt: NOW + 3 * DAY });
  await pass();
  fake.issuers.localCa = () => real.localCa();
  clock.set(NOW + 2 * MINUTE);
  assert.ok(((await open(({ ledger }) => ledger.nextLook())) ?? Infinity) <= clock.now());
  await pass();
  assert.equal((await published())?.placeholder, true);
  assert.deepEqual(fake.orders, ['default']);
});

test('a CA that wants a year of patience is given a week', async (t) => {
  const { pass, published, fake, clock } = await acmePlace(t);
  fake.refuse = refusing({ kind: 'rate-limited', scope: 'issuer', retryAt: NOW + 365 * DAY });
  await pass();
  fake.refuse = undefined;
  clock.set(NOW + 6 * DAY);
  await pass({ readAll: true });
  assert.equal(fake.orders.length, 1);
  clock.set(NOW + 8 * DAY);
  await pass({ readAll: true });
  assert.equal((await published())?.issuer, 'public');
});

test('what failed while the clock was a year ahead keeps nobody waiting when it is back', async (t) => {
  const { pass, fake, clock, published, open } = await acmePlace(t);
  async function day(at: number): Promise<void> {
    clock.set(at);
    await pass({ readAll: true });
    await open(({ ledger }) => heartbeat(ledger, 1, at));
  }
  await day(NOW);
  await day(NOW + DAY);
  fake.refuse = refusing({ kind: 'rate-limited', scope: 'issuer', retryAt: NOW + 366 * DAY + HOUR });
  await day(NOW + 366 * DAY);
  fake.refuse = undefined;
  for (const days of [2, 30, 61]) await day(NOW + days * DAY);
  const now = await published();
  assert.deepEqual([now?.issuer, (now?.notAfter ?? 0) > clock.now() + 80 * DAY], ['public', true]);
});

test('being told to stop while another process orders is no failure', async (t) => {
  const { open, fake } = await acmePlace(t);
  const stop = new AbortController();
  const left = await open(async (service) => {
    await using _ = await lockOrder({ ...service, signal: new AbortController().signal }, 'default');
    const running = runPass(service);
    setTimeout(() => stop.abort(new Error('SIGTERM')), 300);
    await running;
    return [service.ledger.failure('default'), service.ledger.outlook('default')?.condition];
  }, stop.signal);
  assert.deepEqual(left, [undefined, 'well']);
  assert.deepEqual(fake.orders, []);
});

test('being told to stop before its turn came leaves on record how often a certificate failed', async (t) => {
  const { open, fake, pass, clock } = await acmePlace(t);
  fake.refuse = refusing({ kind: 'server' });
  await pass();
  clock.set(NOW + HOUR);
  const stop = new AbortController();
  const failure = await open(async (service) => {
    const running = runPass(service);
    stop.abort(new Error('SIGTERM'));
    await running;
    return service.ledger.failure('default')?.count;
  }, stop.signal);
  assert.equal(failure, 1);
});

test('that another process orders it is neither a failure nor an emergency', async (t) => {
  const { open, pass } = await acmePlace(t);
  await pass({ orders: 'later' });
  const error = new PodserveError('PUBLICATION_LOCKED', 'another process is ordering the certificate default');
  const result = await open(async (service) => {
    const found = await look(service, ACME, { now: NOW, force: false, clockBehind: false });
    return unattended(service, found, error, 30_000);
  });
  assert.deepEqual([result.outcome, result.decision.emergency, result.decision.nextLook], ['waiting', false, NOW + MINUTE]);
  assert.match(result.decision.detail, /it is a placeholder.*another process is ordering/);
});

test("the preferred CA's wish to be left alone does not keep the certificate that another CA gave from being renewed", async (t) => {
  const TWO = [fakeAcmeConfig('public'), fakeAcmeConfig('house')];
  const { pass, published, fake, clock } = await acmePlace(t, [{ ...ACME, issuers: ['public', 'house'] }], ...TWO);
  fake.lifetime = 7 * DAY;
  fake.refuse = (_, issuer) => {
    if (issuer === 'public') throw new IssueFailure('429', { kind: 'rate-limited', retryAt: clock.now() + 7 * DAY });
  };
  for (let hours = 0; hours < 10 * 24; hours += 6) {
    clock.set(NOW + hours * HOUR);
    await pass();
    const now = await published();
    assert.deepEqual([now?.issuer, (now?.notAfter ?? 0) > clock.now() + 2 * DAY], ['house', true], `after ${hours} h`);
  }
});

test('the server of a rehearsal is asked nothing about the real certificate that is published', async (t) => {
  const { fake, pass, clock, state, published } = await acmePlace(t);
  await pass();
  clock.set(NOW + 7 * HOUR);
  const acme = [fakeAcmeConfig('public', { rehearse: 'https://staging.invalid/directory' })];
  fake.advise = async () => assert.fail('it was asked for advice');
  fake.issuers.acme = async () => assert.fail('it was opened');
  using opened = await testService(state, clock, { certificates: [ACME], acme, issuers: fake.issuers });
  await runPass(opened.service, { readAll: true });
  await assert.rejects(revokePublished(opened.service, ACME, 'keyCompromise'), { remedy: 'take rehearse out of issuers.public' });
  assert.equal((await published())?.issuer, 'public');
});

describe('when the limits of the CA are used up', () => {
  const ONE = fakeAcmeConfig('public', { limits: [{ kind: 'duplicate', count: 1, window: 7 * DAY }] });

  async function used(t: TestContext, config = ONE): Promise<AcmePlace> {
    const place = await acmePlace(t, [ACME], config);
    await place.pass({ orders: 'later' });
    await place.open(({ ledger }) =>
      ledger.recordUse({ issuer: 'public', kind: 'duplicate', subject: 'example.org,www.example.org', at: NOW }),
    );
    return place;
  }

  test('an order that it has taken, and perhaps counted, is brought to its end all the same', async (t) => {
    const { pass, published, fake } = await used(t);
    await pass();
    assert.deepEqual(fake.orders, []);
    fake.underWay.add('default');
    await pass({ readAll: true });
    assert.equal((await published())?.issuer, 'public');
  });

  test('a dry run says that it would wait', async (t) => {
    const { pass } = await used(t);
    const { results } = await pass({ dryRun: true });
    assert.deepEqual([results[0]?.outcome, results[0]?.decision.reason], ['waiting', 'rate-limited']);
  });

  test('a rehearsal goes on', async (t) => {
    const { pass } = await used(t, { ...ONE, rehearse: 'https://staging.invalid/directory' });
    assert.equal((await pass()).results[0]?.outcome, 'rehearsed');
  });
});

async function present(solver: ChallengeSolver, token: string): Promise<void> {
  const identifier = parseIdentifier('example.org');
  await solver.present({ identifier, token, keyAuthorization: `${token}.thumbprint` }, AbortSignal.timeout(5000));
}

test('orders before and after the configuration was read again answer on one port', async (t) => {
  const challenge = { type: 'http-01', via: 'listen', listen: `127.0.0.1:${await freePort()}` } as const;
  using opened = await testService(scratchDirectory(t), testClock());
  const after = configuredService(opened.service, opened.service.config);
  const open = (service: CertificateService): Promise<ChallengeSolver | undefined> | undefined => service.issuers.solverFor?.(challenge);
  await using first = await open(opened.service);
  await using second = await open(after);
  assert.ok(first !== undefined && second !== undefined);
  await present(first, 'one');
  await present(second, 'two');
});

test('what was issued and cannot be published is ordered from no other issuer', async (t) => {
  const { fake, pass, state, published } = await acmePlace(
    t,
    [{ ...ACME, issuers: ['public', 'house'] }],
    fakeAcmeConfig('public'),
    fakeAcmeConfig('house'),
  );
  const directory = join(state, 'certificates/default');
  fake.refuse = () => {
    renameSync(directory, `${directory}.away`);
    writeFileSync(directory, '');
  };
  const { results } = await pass();
  assert.deepEqual([results[0]?.outcome, fake.orders], ['failed', ['default']]);
  assert.deepEqual(fake.settled, []);
  rmSync(directory);
  renameSync(`${directory}.away`, directory);
  assert.equal((await published())?.placeholder, true);
});

test('a mistake that was mended in the configuration is not waited out, and what did not change still is', async (t) => {
  const { state, clock, fake } = await acmePlace(t);
  fake.refuse = refusing({ kind: 'configuration' });
  const withProfile = async (profile: string | undefined): Promise<PassReport> => {
    const acme = [fakeAcmeConfig('public', { profile })];
    using opened = await testService(state, clock, { certificates: [ACME], acme, issuers: fake.issuers });
    return await runPass(opened.service);
  };
  await withProfile('shrtlived');
  clock.set(clock.now() + MINUTE);
  await withProfile('shrtlived');
  assert.equal(fake.orders.length, 1);
  fake.refuse = undefined;
  const { results } = await withProfile('shortlived');
  assert.equal(results[0]?.outcome, 'published');
  assert.equal(fake.orders.length, 2);
});

test('a revoked certificate that is still published is nothing good to check', async (t) => {
  const { pass, open, state, clock } = await acmePlace(t);
  await pass();
  const current = await readCurrent(join(state, 'certificates'), 'default');
  const leafSha256 = current?.manifest.leafSha256 ?? '';
  const finding = await open(async ({ ledger }) => {
    ledger.keepRevocation({ leafSha256, certificate: 'default', at: clock.now(), reason: 'superseded' });
    return await checkCertificate(join(state, 'certificates'), ACME, clock.now(), ledger);
  });
  assert.deepEqual([finding.state, finding.attention], ['revoked', true]);
});
