import { PodserveError, type ErrorDetail } from '../../platform/errors.ts';

/** Why an ACME issuer gave no certificate, as far as it decides what is done next. */
export type FailureKind =
  | 'unreachable' // no usable answer: DNS, connection, TLS, time-out, cut, nonsense
  | 'server' // 5xx, serverInternal, badNonce without end, an order that stays in processing
  | 'rate-limited' // rateLimited, 429, 503 with Retry-After, or the own budget
  | 'paused' // the CA paused the account or identifier until a person acts
  | 'challenge' // a validation failed: connection, dns, incorrectResponse, unauthorized, tls
  | 'solver' // the answer to a challenge could not be put in place
  | 'caa' // CAA forbids this CA
  | 'rejected' // rejectedIdentifier, unsupportedIdentifier, badCSR, malformed: the order as such is refused
  | 'account' // account deactivated, unauthorized, userActionRequired, externalAccountRequired
  | 'configuration' // what is configured is not offered: profile, challenge type, EAB
  | 'bad-certificate'; // what was issued is not what was asked for

export interface FailureDetail extends ErrorDetail {
  readonly kind: FailureKind;
  /** The server wants no request of this kind before, ms since the epoch. */
  readonly retryAt?: number;
  /** What waits until `retryAt`: only this certificate, or all of the issuer's. */
  readonly scope?: 'certificate' | 'issuer';
  /** Where a person can end a pause. */
  readonly unpauseUrl?: string;
}

/** ISSUE_FAILED of an ACME issuer, classified. */
export class IssueFailure extends PodserveError {
  readonly kind: FailureKind;
  readonly retryAt: number | undefined;
  readonly scope: 'certificate' | 'issuer';
  readonly unpauseUrl: string | undefined;

  constructor(message: string, detail: FailureDetail) {
    super('ISSUE_FAILED', message, detail);
    this.kind = detail.kind;
    this.retryAt = detail.retryAt;
    this.scope = detail.scope ?? 'certificate';
    this.unpauseUrl = detail.unpauseUrl;
  }
}
