import { retryTime } from '../../certificate/backoff.ts';
import { lookBy, type Decision } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import { IssueFailure } from '../../issuers/acme/failure.ts';
import { describeError } from '../../platform/errors.ts';
import { resultOf } from './look.ts';
import type { Result } from './result.ts';
import type { CertificateService } from './service.ts';
import type { Survey } from './survey.ts';

/** The result of a certificate that no issuer gave: when it is tried again, and one line in the log. */
export function failed(
  service: CertificateService,
  spec: CertificateSpec,
  found: Survey,
  decision: Decision,
  error: unknown,
  tookMs: number,
): Result {
  const now = service.clock.now();
  // Being told to stop is no failure: the next start takes it up at once.
  if (service.signal.aborted) return resultOf(spec, found, { ...decision, action: 'wait', nextLook: now });
  const count = (service.ledger.failure(spec.name)?.count ?? 0) + 1;
  const { current } = found;
  // A placeholder's end hurries nobody: it is renewed by itself.
  const notAfter = current.state === 'published' && !current.placeholder ? current.notAfter : undefined;
  const classified = error instanceof IssueFailure ? error : undefined;
  const retryAt = retryTime({ count, at: now, notAfter, kind: classified?.kind, retryAt: classified?.retryAt }, service.random());
  service.log.error(
    {
      certificate: spec.name,
      reason: decision.reason,
      issuers: decision.issuers,
      ...(classified === undefined ? {} : { failure: classified.kind }),
      tookMs,
      failures: count,
      retryAt: new Date(retryAt).toISOString(),
    },
    describeError(error),
  );
  const nextLook = Math.min(retryAt, lookBy(spec, current, now));
  return { ...resultOf(spec, found, { ...decision, action: 'wait', nextLook }), outcome: 'failed', error, retryAt };
}
