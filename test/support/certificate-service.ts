import type { TestContext } from 'node:test';

import { parseIdentifiers } from '../../src/certificate/identifier.ts';
import type { CertificateSpec } from '../../src/certificate/spec.ts';
import type { AcmeIssuerConfig, Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { statePaths } from '../../src/config/state.ts';
import { DAY, type Clock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { openCertificateService, publisherOf, type OpenedService } from '../../src/services/certificates/open.ts';
import type { Issuers } from '../../src/services/certificates/service.ts';
import type { HookNotice } from '../../src/services/event-hook.ts';

export const NOW = Date.parse('2026-11-23T12:00:00Z');

/** A clock that stands still until it is set, and that sleeps by moving on at once. */
export interface TestClock extends Clock {
  set(time: number): void;
}

export function testClock(start = NOW): TestClock {
  let now = start;
  return {
    now: () => now,
    set: (time) => {
      now = time;
    },
    async sleep(ms, signal) {
      // Real work, such as file events, gets its turn before the time moves on.
      await new Promise((resolve) => setImmediate(resolve));
      if (!signal?.aborted) now += Math.max(0, ms);
    },
  };
}

export function testSpec(changes: Partial<Omit<CertificateSpec, 'identifiers'>> & { names?: readonly string[] } = {}): CertificateSpec {
  const { names = ['localhost'], ...rest } = changes;
  return {
    name: 'default',
    identifiers: parseIdentifiers(names),
    keyType: 'ecdsa-p256',
    issuers: ['local-ca'],
    lifetime: 90 * DAY,
    renewBefore: 7 * DAY,
    consumers: [],
    ...rest,
  };
}

/** The default configuration with other certificates. */
async function testConfig(certificates: readonly CertificateSpec[], acme: readonly AcmeIssuerConfig[]): Promise<Config> {
  const config = await loadConfig({ env: {}, cwd: '/nonexistent' });
  return { ...config, certificates, issuers: Object.fromEntries(acme.map((one) => [one.name, one])) };
}

export interface TestService extends OpenedService {
  readonly notices: HookNotice[];
}

/** The certificate service on a state directory, with everything real but the clock and what is given. */
export async function testService(
  state: string,
  clock: Clock,
  options: {
    certificates?: readonly CertificateSpec[];
    issuers?: Issuers;
    /** ACME servers of the configuration. */
    acme?: readonly AcmeIssuerConfig[];
    signal?: AbortSignal;
  } = {},
): Promise<TestService> {
  const notices: HookNotice[] = [];
  const opened = await openCertificateService({
    config: await testConfig(options.certificates ?? [testSpec()], options.acme ?? []),
    paths: statePaths(state, '/'),
    clock,
    log: silentLog,
    signal: options.signal ?? new AbortController().signal,
    publisher: publisherOf('test', {}),
    notify: (notice) => notices.push(notice),
    random: () => 0,
    preflight: async () => [],
    ...(options.issuers === undefined ? {} : { issuers: options.issuers }),
  });
  return { ...opened, notices, [Symbol.dispose]: () => opened[Symbol.dispose]() };
}

/** An AbortSignal that ends with the test. */
export function testSignal(t: Pick<TestContext, 'after'>): AbortSignal {
  const controller = new AbortController();
  t.after(() => controller.abort());
  return controller.signal;
}
