import type { FailureKind } from '../../certificate/fallback.ts';
import { PodserveError, type ErrorDetail } from '../../platform/errors.ts';

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
