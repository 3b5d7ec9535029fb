import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { parseIdentifiers } from '../../../../src/certificate/identifier.ts';
import type { CertificateSpec } from '../../../../src/certificate/spec.ts';
import { DAY, HOUR, systemClock } from '../../../../src/platform/clock.ts';
import { runCron, type CronOptions } from '../../../../src/services/certificates/cron.ts';
import { runPass } from '../../../../src/services/certificates/pass.ts';
import type { CertificateService } from '../../../../src/services/certificates/service.ts';
import { ACME } from '../../../support/acme-place.ts';
import { testService, testSpec } from '../../../support/certificate-service.ts';
import { fakeAcme, fakeAcmeConfig, type FakeAcme } from '../../../support/fake-acme-issuer.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

interface Place {
  readonly fake: FakeAcme;
  /** Runs the resident service until `enough` says so after a pass, or for so long. */
  readonly run: (ms: number, options?: CronOptions, enough?: () => boolean) => Promise<void>;
  readonly open: <T>(use: (service: CertificateService) => Promise<T>, signal?: AbortSignal) => Promise<T>;
}

/** With the real clock: what it does every second shows. */
async function place(t: TestContext, certificates: readonly CertificateSpec[] = [ACME]): Promise<Place> {
  const state = scratchDirectory(t);
  const acme = [fakeAcmeConfig('public'), fakeAcmeConfig('slow')];
  using first = await testService(state, systemClock, { certificates, acme });
  const fake = fakeAcme(join(state, 'ca'), first.service.issuers, (name) => fakeAcmeConfig(name));
  const open: Place['open'] = async (use, signal = new AbortController().signal) => {
    using opened = await testService(state, systemClock, { certificates, acme, issuers: fake.issuers, signal });
    return await use(opened.service);
  };
  return {
    fake,
    open,
    async run(ms, options = {}, enough = () => false) {
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), ms);
      await open(
        (service) =>
          runCron(
            { trouble: undefined, service },
            {
              ...options,
              onPass: () => {
                if (enough()) stop.abort();
              },
            },
          ),
        stop.signal,
      );
      clearTimeout(timer);
    },
  };
}

test('a CA that advises for ever to renew at once is not asked for a certificate every second', async (t) => {
  const { fake, run } = await place(t);
  fake.advise = async () => ({
    value: { start: Date.now() - DAY, end: Date.now() - HOUR, explanationUrl: undefined },
    retryAfter: 6 * HOUR,
  });
  await run(4000, {}, () => fake.orders.length > 1);
  assert.deepEqual(fake.orders, ['default']);
});

test('a CA that hangs holds up nobody but its own certificates', async (t) => {
  const slow = Array.from({ length: 12 }, (_, index) =>
    testSpec({ name: `slow${index}`, issuers: ['slow'], names: [`slow${index}.example.org`] }),
  );
  const { fake, run } = await place(t, [...slow, testSpec({ name: 'other', issuers: ['public'], names: ['example.org'] })]);
  const real = { ...fake.issuers };
  fake.issuers.acme = async (name) => {
    const issuer = await real.acme(name);
    if (name !== 'slow') return issuer;
    return {
      ...issuer,
      issue: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          if (signal?.aborted) reject(signal.reason);
          else signal?.addEventListener('abort', () => reject(signal.reason));
        }),
    };
  };
  await run(10_000, {}, () => fake.orders.length > 0);
  assert.deepEqual(fake.orders, ['other']);
});

test('a name that is added while the CA is being asked is noticed when it has answered', async (t) => {
  const { fake, open, run } = await place(t);
  await open(async (service) => {
    await runPass(service);
    service.ledger.clearAdvice('default');
  });
  let askForReload: (() => void) | undefined;
  fake.advise = async () => {
    askForReload?.();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return { value: { start: Date.now() + DAY, end: Date.now() + 2 * DAY, explanationUrl: undefined }, retryAfter: 6 * HOUR };
  };
  const config = await open(async (service) => service.config);
  await run(3000, {
    onReload: (ask) => {
      askForReload = ask;
      return () => undefined;
    },
    // Its issuers are gone with the old configuration, so it comes to nothing: but it is tried.
    reload: async () => ({ ...config, certificates: [{ ...ACME, identifiers: parseIdentifiers(['example.org', 'new.example.org']) }] }),
  });
  const outlook = await open(async ({ ledger }) => ledger.outlook('default'));
  assert.equal(outlook?.reason, 'name-not-covered');
});
