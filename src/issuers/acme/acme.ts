import type { X509Certificate } from 'node:crypto';

import type { Polled, RenewalInfo, RevocationReason } from '../../acme/resources.ts';
import type { UseKind } from '../../certificate/rate-limits.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { Bundle } from '../../certificate/bundle.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import type { ChallengeSolver } from '../../challenges/solver.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { Issuer } from '../issuer.ts';

export interface AcmeIssuerOptions {
  readonly config: AcmeIssuerConfig;
  /** `authority/acme/<issuer>`: account key, and each order under way with its key. Made where missing, 0700. */
  readonly directory: string;
  /** Opened when the first challenge has to be answered. */
  readonly solver: () => Promise<ChallengeSolver>;
  readonly clock: Clock;
  readonly log: Log;
  /** Called for each use of what the CA counts, at once when it happens: a kill must not lose it. */
  readonly onUse: (kind: UseKind, subject: string) => void;
}

/** The certificate that an order replaces (RFC 9773 §5). */
export interface Replaced {
  readonly leaf: X509Certificate;
  /** Whether now lies in the window that the CA suggested: only then it counts the replacement against no limit. */
  readonly inWindow: boolean;
}

/** An ACME server as an issuer: account, orders that outlive a restart, challenges. */
export interface AcmeIssuer extends Issuer, AsyncDisposable {
  readonly config: AcmeIssuerConfig;
  /** @throws IssueFailure; the signal's reason */
  issue(spec: CertificateSpec, options: AcmeIssueOptions): Promise<Bundle>;
  /**
   * Whether `issue` would go on with an order that the server has taken already: that uses nothing of its limits.
   * @param published the leaf that is published now
   */
  isUnderWay(spec: CertificateSpec, published: X509Certificate | undefined): boolean;
  /** To be called when what `issue` gave is published: until then the order and its key are kept for the next start. */
  settled(certificate: string): void;
  /** As `settled`, for what an earlier run published and was ended before it could say so. */
  settledBefore(certificate: string, published: X509Certificate): void;
  /** RFC 9773. Undefined where the server has no ARI. @throws AcmeProblem, AcmeTransportError */
  renewalInfo(leaf: X509Certificate, signal: AbortSignal): Promise<Polled<RenewalInfo> | undefined>;
  /** Revokes with the account, and with the certificate's own key where the account may not. @throws IssueFailure */
  revoke(bundle: Pick<Bundle, 'leaf' | 'key'>, reason: RevocationReason, signal: AbortSignal): Promise<void>;
}

export interface AcmeIssueOptions {
  readonly now: number;
  readonly signal?: AbortSignal;
  /** What is published now, where it came from this issuer: the order says that it replaces it. */
  readonly replaces?: Replaced;
}
