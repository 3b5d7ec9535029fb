import { join } from 'node:path';

import type { AcmeIssuerConfig } from '../../src/config/config.ts';
import type { AcmeIssuer } from '../../src/issuers/acme/acme.ts';
import { openLocalCa } from '../../src/issuers/local-ca/local-ca.ts';
import { DAY } from '../../src/platform/clock.ts';
import { PodserveError } from '../../src/platform/errors.ts';
import type { Issuers } from '../../src/services/certificates/service.ts';

export interface FakeAcme {
  readonly issuers: Issuers;
  /** Names of what was ordered, in order; with ` replaces` where the order said so. */
  readonly orders: string[];
  /** Names of the certificates that were told to be published. */
  readonly settled: string[];
  /** Certificates whose orders a killed run left. */
  readonly underWay: Set<string>;
  /** Of what is issued, ms. */
  lifetime: number;
  /** Called before each order: throws to refuse it. */
  refuse: ((certificate: string, issuer: string) => void) | undefined;
  /** What the server advises; undefined: it has no ARI. */
  advise: AcmeIssuer['renewalInfo'] | undefined;
}

/** Issuers whose ACME servers are one CA in memory, without a network; the built-in CA is the real one of `real`. */
export function fakeAcme(directory: string, real: Issuers, config: (name: string) => AcmeIssuerConfig): FakeAcme {
  const fake: FakeAcme = {
    orders: [],
    settled: [],
    underWay: new Set(),
    lifetime: 90 * DAY,
    refuse: undefined,
    advise: undefined,
    issuers: {
      ...real,
      async acme(name) {
        return {
          name,
          config: config(name),
          async issue(spec, { now, replaces }) {
            fake.orders.push(`${spec.name}${replaces === undefined ? '' : ' replaces'}`);
            fake.refuse?.(spec.name, name);
            const ca = openLocalCa({ directory: join(directory, name), permit: spec.identifiers });
            await ca.prepare(now, spec.identifiers);
            return ca.issue(spec, { now, lifetime: fake.lifetime });
          },
          isUnderWay: (spec) => fake.underWay.has(spec.name),
          settled: (certificate) => void fake.settled.push(certificate),
          settledBefore: () => undefined,
          renewalInfo: async (leaf, signal) => fake.advise?.(leaf, signal),
          revoke: async () => undefined,
          [Symbol.asyncDispose]: async () => undefined,
        };
      },
    },
  };
  return fake;
}

/** Issuers of which every one refuses. */
export function refusingIssuers(): Issuers {
  return { named: async (name) => ({ name, issue: async () => refuse() }), localCa: async () => refuse(), acme: async () => refuse() };
}

/** A configuration of an ACME server that is never asked. */
export function fakeAcmeConfig(name: string, changes: Partial<AcmeIssuerConfig> = {}): AcmeIssuerConfig {
  return {
    name,
    directory: `https://${name}.invalid/directory`,
    caFile: undefined,
    email: undefined,
    eab: undefined,
    profile: undefined,
    preferredChain: undefined,
    challenge: { type: 'http-01', via: 'webroot', webroot: undefined },
    limits: [],
    rehearse: undefined,
    ...changes,
  };
}

function refuse(): never {
  throw new PodserveError('ISSUE_FAILED', 'the issuer refused', { why: 'the test wants it so' });
}
