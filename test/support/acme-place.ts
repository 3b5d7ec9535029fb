import { join } from 'node:path';
import type { TestContext } from 'node:test';

import type { CertificateSpec } from '../../src/certificate/spec.ts';
import type { AcmeIssuerConfig } from '../../src/config/config.ts';
import { IssueFailure, type FailureDetail } from '../../src/issuers/acme/failure.ts';
import { readCurrent } from '../../src/publication/read.ts';
import { runPass, type PassOptions, type PassReport } from '../../src/services/certificates/pass.ts';
import type { CertificateService } from '../../src/services/certificates/service.ts';
import { testClock, testService, testSpec, type TestClock } from './certificate-service.ts';
import { fakeAcme, fakeAcmeConfig, type FakeAcme } from './fake-acme-issuer.ts';
import { scratchDirectory } from './scratch.ts';

export interface AcmePlace {
  readonly clock: TestClock;
  readonly fake: FakeAcme;
  readonly state: string;
  /** What is published under a name. */
  readonly published: (
    name?: string,
  ) => Promise<{ issuer: string; placeholder: boolean; notAfter: number; generation: number } | undefined>;
  /** A pass of a process that starts and ends with it. */
  readonly pass: (options?: PassOptions) => Promise<PassReport>;
  /** A service of its own, as the ledger has it. */
  readonly open: <T>(look: (service: CertificateService) => T, signal?: AbortSignal) => Promise<T>;
}

/** What is ordered where nothing else is said. */
export const ACME = testSpec({ issuers: ['public'], names: ['example.org', 'www.example.org'] });

/** A state directory of a certificate service with ACME servers in memory. */
export async function acmePlace(
  t: TestContext,
  certificates: readonly CertificateSpec[] = [ACME],
  ...acme: AcmeIssuerConfig[]
): Promise<AcmePlace> {
  const state = scratchDirectory(t);
  const clock = testClock();
  const configured = acme.length > 0 ? acme : [fakeAcmeConfig('public')];
  const configOf = (name: string): AcmeIssuerConfig => configured.find((one) => one.name === name) ?? fakeAcmeConfig(name);
  using first = await testService(state, clock, { certificates, acme: configured });
  const fake = fakeAcme(join(state, 'ca'), first.service.issuers, configOf);
  const opened = (signal?: AbortSignal): ReturnType<typeof testService> =>
    testService(state, clock, { certificates, acme: configured, issuers: fake.issuers, ...(signal && { signal }) });
  return {
    clock,
    fake,
    state,
    async published(name = 'default') {
      const generation = await readCurrent(join(state, 'certificates'), name);
      if (generation === undefined) return undefined;
      const { issuer, placeholder, notAfter } = generation.manifest;
      return { issuer, placeholder, notAfter: Date.parse(notAfter), generation: generation.number };
    },
    async pass(options = {}) {
      using service = await opened();
      return await runPass(service.service, options);
    },
    async open(look, signal) {
      using service = await opened(signal);
      return await look(service.service);
    },
  };
}

/** For `refuse`. */
export function refusing(detail: FailureDetail, message = 'the CA refused'): () => never {
  return () => {
    throw new IssueFailure(message, detail);
  };
}
