import type { Bundle } from '../certificate/bundle.ts';
import type { CertificateSpec } from '../certificate/spec.ts';

/** Something that signs. It works in memory: the publication decides what becomes visible. */
export interface Issuer {
  /** As configured: `self-signed`, `local-ca`, or the name of an ACME issuer. */
  readonly name: string;
  /**
   * Makes a new key and has it certified for the spec's identifiers.
   * @throws PodserveError ISSUE_FAILED, AUTHORITY_UNREADABLE, AUTHORITY_UNWRITABLE
   */
  issue(spec: CertificateSpec, options: IssueOptions): Promise<Bundle>;
}

interface IssueOptions {
  /** The time that the certificate starts at, ms since the epoch. */
  readonly now: number;
  /** How long it shall live, ms; an issuer may give less. Default: the spec's. */
  readonly lifetime?: number;
  readonly signal?: AbortSignal;
}
