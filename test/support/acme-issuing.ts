import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { parseIdentifiers } from '../../src/certificate/identifier.ts';
import type { CertificateSpec } from '../../src/certificate/spec.ts';
import type { ChallengeSolver, ChallengeTask } from '../../src/challenges/solver.ts';
import type { AcmeIssuerConfig } from '../../src/config/config.ts';
import type { AcmeIssuer } from '../../src/issuers/acme/acme.ts';
import { openAcmeIssuer } from '../../src/issuers/acme/open.ts';
import type { OrderPlace } from '../../src/issuers/acme/place.ts';
import { DAY, type Clock } from '../../src/platform/clock.ts';
import type { Log } from '../../src/platform/log.ts';
import { fakeAcmeServer, type FakeAcmeServer } from './fake-acme-server.ts';
import { scratchDirectory } from './scratch.ts';

/** An ACME issuer with everything around it in memory but its files. */
export interface Issuing {
  readonly server: FakeAcmeServer;
  readonly directory: string;
  readonly clock: Clock & { time: number; readonly slept: number[] };
  readonly solver: ChallengeSolver & { readonly standing: ChallengeTask[]; readonly seen: string[]; refuse: Error | undefined };
  /** `kind subject` */
  readonly uses: string[];
  /** `level: message` with its fields as JSON. */
  readonly logged: string[];
  readonly open: (change?: Partial<AcmeIssuerConfig>) => Promise<AcmeIssuer>;
  readonly place: (change?: Partial<AcmeIssuerConfig>) => OrderPlace;
}

export const NOW = Date.parse('2026-11-23T12:00:00Z');

export async function issuing(t: Pick<TestContext, 'after'>): Promise<Issuing> {
  const slept: number[] = [];
  const clock = {
    time: NOW,
    slept,
    now: () => clock.time,
    async sleep(ms: number) {
      slept.push(ms);
      clock.time += ms;
    },
  };
  const server = await fakeAcmeServer(clock.now);
  const directory = join(scratchDirectory(t), 'authority', 'acme', 'fake');
  const solver = fakeSolver();
  const uses: string[] = [];
  const logged: string[] = [];
  const log = recording(logged);
  const onUse = (kind: string, subject: string): number => uses.push(`${kind} ${subject}`.trim());
  const place = (change: Partial<AcmeIssuerConfig> = {}): OrderPlace => ({
    config: { ...CONFIG, ...change },
    directory,
    solver: async () => solver,
    clock,
    log,
    onUse,
    client: server.client,
  });
  return {
    server,
    directory,
    clock,
    solver,
    uses,
    logged,
    place,
    open: (change) => openAcmeIssuer(place(change), { client: server.client }),
  };
}

export function wanted(names: readonly string[] = ['a.example.org'], change: Partial<CertificateSpec> = {}): CertificateSpec {
  return {
    name: 'default',
    identifiers: parseIdentifiers(names),
    keyType: 'ecdsa-p256',
    issuers: ['fake'],
    lifetime: 90 * DAY,
    renewBefore: 7 * DAY,
    consumers: [],
    ...change,
  };
}

const CONFIG: AcmeIssuerConfig = {
  name: 'fake',
  directory: 'https://acme.test/directory',
  caFile: undefined,
  email: 'admin@example.org',
  eab: undefined,
  profile: undefined,
  preferredChain: undefined,
  challenge: { type: 'http-01', via: 'webroot', webroot: undefined },
  limits: [],
  rehearse: undefined,
};

function fakeSolver(): Issuing['solver'] {
  const standing: ChallengeTask[] = [];
  const seen: string[] = [];
  return {
    type: 'http-01',
    standing,
    seen,
    refuse: undefined,
    async present(task) {
      if (this.refuse !== undefined) throw this.refuse;
      seen.push(task.identifier.value);
      standing.push(task);
    },
    async cleanup(task) {
      const at = standing.findIndex(({ token }) => token === task.token);
      if (at !== -1) standing.splice(at, 1);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

function recording(lines: string[]): Log {
  const note =
    (level: string) =>
    (fields: object, message: string): void =>
      void lines.push(`${level}: ${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error'), child: () => log };
  return log;
}
