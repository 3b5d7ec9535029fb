import type { KeyObject } from 'node:crypto';

/** What a server offers (RFC 8555 §7.1.1), its URLs checked; what is not understood is left out. */
export interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
  readonly revokeCert: string;
  readonly keyChange: string;
  /** RFC 9773 §4.1; undefined where the server has no ARI. */
  readonly renewalInfo: string | undefined;
  readonly meta: DirectoryMeta;
}

export interface DirectoryMeta {
  readonly termsOfService: string | undefined;
  readonly externalAccountRequired: boolean;
  readonly caaIdentities: readonly string[];
  /** Profile name to description (profiles extension); empty where the server has none. */
  readonly profiles: Readonly<Record<string, string>>;
}

/** RFC 8555 §7.1.2 */
export interface Account {
  /** Its `Location`, which is its key identifier. */
  readonly url: string;
  readonly status: 'valid' | 'deactivated' | 'revoked';
  readonly contact: readonly string[];
  /** Whether the server made it with this request; false when the key had one already. */
  readonly created: boolean;
}

/** Who signs a request: an account by its key and URL (RFC 8555 §6.2). The key is ECDSA P-256/P-384 or RSA. */
export interface Signatory {
  readonly key: KeyObject;
  readonly url: string;
}

/** RFC 8555 §7.1.4 and RFC 8738 §3; a wildcard is only ever in an order, not in an authorization. */
export interface AcmeIdentifier {
  readonly type: 'dns' | 'ip';
  readonly value: string;
}

/** RFC 8555 §7.1.3 */
export interface Order {
  readonly url: string;
  readonly status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';
  /** ms since the epoch */
  readonly expires: number | undefined;
  readonly identifiers: readonly AcmeIdentifier[];
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate: string | undefined;
  readonly profile: string | undefined;
  readonly error: ProblemDocument | undefined;
}

/** RFC 8555 §7.1.4 */
export interface Authorization {
  readonly url: string;
  readonly identifier: AcmeIdentifier;
  readonly status: 'pending' | 'valid' | 'invalid' | 'deactivated' | 'expired' | 'revoked';
  readonly expires: number | undefined;
  readonly wildcard: boolean;
  /** All that the server offers; of types not known here only `type`, `url` and `status` may be there. */
  readonly challenges: readonly Challenge[];
}

/** RFC 8555 §8 */
export interface Challenge {
  readonly url: string;
  readonly type: string;
  readonly status: 'pending' | 'processing' | 'valid' | 'invalid';
  /** Absent in challenges that have none (dns-persist-01). */
  readonly token: string | undefined;
  readonly error: ProblemDocument | undefined;
}

/** RFC 7807 §3.1 with RFC 8555 §6.7.1 subproblems, as received; every field may be missing. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string | undefined;
  readonly detail: string | undefined;
  readonly status: number | undefined;
  readonly identifier: AcmeIdentifier | undefined;
  readonly subproblems: readonly ProblemDocument[];
}

/** A resource, and how long the server asks to wait before asking again (`Retry-After`), ms. */
export interface Polled<T> {
  readonly value: T;
  readonly retryAfter: number | undefined;
}

/** A chain as downloaded (RFC 8555 §7.4.2): PEM blocks, leaf first. */
export interface Download {
  readonly pem: string;
  /** `Link: rel="alternate"` URLs. */
  readonly alternates: readonly string[];
}

/** RFC 9773 §4.2. Times are ms since the epoch. */
export interface RenewalInfo {
  readonly start: number;
  readonly end: number;
  readonly explanationUrl: string | undefined;
}

/** Reasons that RFC 5280 §5.3.1 numbers and CAs accept from subscribers. */
export const REVOCATION_REASONS = {
  unspecified: 0,
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
} as const;
export type RevocationReason = keyof typeof REVOCATION_REASONS;
