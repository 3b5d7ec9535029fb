import type { SolverOpener } from '../../challenges/shared.ts';
import type { Publisher } from '../../certificate/generation.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { AcmeIssuerConfig, Config } from '../../config/config.ts';
import type { StatePaths } from '../../config/state.ts';
import type { AcmeIssuer } from '../../issuers/acme/acme.ts';
import type { Issuer } from '../../issuers/issuer.ts';
import type { LocalCa } from '../../issuers/local-ca/local-ca.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { Finding } from '../doctor/finding.ts';
import type { HookNotice } from '../event-hook.ts';

/** What every part of the certificate service works with. Made once by whoever runs it; tests bring their own. */
export interface CertificateService {
  readonly config: Config;
  readonly paths: StatePaths;
  readonly ledger: Ledger;
  readonly issuers: Issuers;
  readonly clock: Clock;
  /** Uniform in [0, 1), for jitter. */
  random(): number;
  readonly log: Log;
  readonly publisher: Publisher;
  readonly signal: AbortSignal;
  /** Looks at what would make a first order fail. */
  preflight(spec: CertificateSpec, issuer: AcmeIssuerConfig): Promise<readonly Finding[]>;
  /** Called once for each change that a person should know of; must not throw. */
  notify(notice: HookNotice): void;
}

/** The issuers by name, loaded when first asked for. */
export interface Issuers {
  /** One of those that need no network. */
  named(name: string): Promise<Issuer>;
  /** An ACME server; whoever asked for it disposes of it, which closes its connections. */
  acme(name: string): Promise<AcmeIssuer>;
  /** The built-in CA, which also gives the roots for `ca.pem`. */
  localCa(): Promise<LocalCa>;
  /** The solvers of the ACME issuers: whoever takes another one takes their port. */
  readonly solverFor?: SolverOpener;
}
