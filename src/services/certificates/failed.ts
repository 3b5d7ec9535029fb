import { retryTime } from '../../certificate/backoff.ts';
import { lookBy, type Decision } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import { IssueFailure } from '../../issuers/acme/failure.ts';
import { MINUTE } from '../../platform/clock.ts';
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
  const before = service.ledger.failure(spec.name);
  const count = (before?.count ?? 0) + 1;
  const { current } = found;
  // A placeholder's end hurries nobody: it is renewed by itself.
  const notAfter = current.state === 'published' && !current.placeholder ? current.notAfter : undefined;
  const classified = error instanceof IssueFailure ? error : undefined;
  // What only stands in until an issuer may be asked again does not put that off.
  const standsIn = decision.action !== 'issue' && before !== undefined && before.retryAt > now;
  const retryAt = standsIn
    ? before.retryAt
    : retryTime({ count, at: now, notAfter, kind: classified?.kind, retryAt: classified?.retryAt }, service.random());
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
  // Without even a placeholder nothing is served: that is mended as soon as it can be, whenever the issuers are asked.
  const served = current.state === 'published' && now < current.notAfter;
  const bridgeAgain = decision.placeholder === true && !served ? now + MINUTE : Infinity;
  const nextLook = Math.min(retryAt, lookBy(spec, current, now), bridgeAgain);
  return { ...resultOf(spec, found, { ...decision, action: 'wait', nextLook }), outcome: 'failed', error, retryAt };
}
