import { hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';

import type { Publisher } from '../../certificate/generation.ts';
import type { Config } from '../../config/config.ts';
import type { StatePaths } from '../../config/state.ts';
import { ledgerInMemory, openLedger, openLedgerToRead } from '../../ledger/open.ts';
import { resilientLedger } from '../../ledger/resilient.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import { version } from '../../platform/version.ts';
import { configuredIssuers } from './issuers.ts';
import { rebuildLedger } from './rebuild.ts';
import type { CertificateService, Issuers } from './service.ts';

export interface OpenOptions {
  readonly config: Config;
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly publisher: Publisher;
  readonly notify?: CertificateService['notify'];
  readonly random?: () => number;
  readonly issuers?: Issuers;
  readonly preflight?: CertificateService['preflight'];
  /** For a dry run: no ledger is made, mended or migrated. */
  readonly readOnly?: boolean;
}

export interface OpenedService extends Disposable {
  readonly service: CertificateService;
  readonly warnings: readonly string[];
}

/**
 * Puts the certificate service together and opens its ledger, which is rebuilt from the publication where it was lost.
 * @throws PodserveError PUBLICATION_NEWER
 */
export async function openCertificateService(options: OpenOptions): Promise<OpenedService> {
  const { config, paths, clock, log } = options;
  const opened = options.readOnly ? openLedgerToRead(paths.ledger) : openLedger(paths.ledger, clock.now());
  const ledger = resilientLedger(opened.ledger, { memory: ledgerInMemory, warn: (line) => log.warn({ ledger: paths.ledger }, line) });
  if (opened.state !== 'kept') await rebuildLedger(ledger, paths.certificates);
  const unconfigured = {
    paths,
    ledger,
    clock,
    random: options.random ?? Math.random,
    log,
    publisher: options.publisher,
    signal: options.signal,
    notify: options.notify ?? (() => undefined),
  };
  const { issuers, preflight } = options;
  const service = { ...configuredService(unconfigured, config), ...(issuers && { issuers }), ...(preflight && { preflight }) };
  return { service, warnings: opened.warning === undefined ? [] : [opened.warning], [Symbol.dispose]: () => ledger.close() };
}

type Configured = 'config' | 'issuers' | 'preflight';

/**
 * The service under another configuration: what depends on it is made anew. The orders under way go on under the one
 * before, and answer their challenges: what listens for both is the same.
 */
export function configuredService(
  before: Omit<CertificateService, Configured> & Partial<Pick<CertificateService, Configured>>,
  config: Config,
): CertificateService {
  const { paths, clock, log, signal } = before;
  const kept = isDeepStrictEqual(before.config?.resolvers, config.resolvers) ? before.issuers?.solverFor : undefined;
  const issuers = configuredIssuers({ ...before, config, solvers: kept });
  return {
    ...before,
    config,
    issuers,
    async preflight(spec, issuer) {
      const { preflight } = await import('../doctor/preflight.ts');
      return preflight({ config, spec, issuer, paths, clock, log, signal, solverFor: issuers.solverFor });
    },
  };
}

/** Who writes: named in manifests, in the lock, and to those who wait for it. */
export function publisherOf(command: string, env: Readonly<Record<string, string | undefined>>): Publisher {
  const container = env['container'] === undefined ? undefined : (env['HOSTNAME'] ?? hostname());
  return { host: hostname(), ...(container === undefined ? {} : { container }), command, version: version() };
}
