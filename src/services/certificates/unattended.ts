import { MINUTE } from '../../platform/clock.ts';
import { describeError, PodserveError } from '../../platform/errors.ts';
import { failed } from './failed.ts';
import type { Look } from './look.ts';
import { interrupted, type Result } from './result.ts';
import type { CertificateService } from './service.ts';

/** Another process that orders a certificate is looked after so often. */
const LOOK_AGAIN = MINUTE;

/**
 * The result for a certificate whose turn to ask its ACME server did not come. What is published is as good as it was:
 * being told to stop, or that another process orders it, is no failure.
 * @param error why the right to order it could not be had
 */
export function unattended(
  service: CertificateService,
  { spec, result }: Pick<Look, 'spec' | 'result'>,
  error: unknown,
  tookMs: number,
): Result {
  const { decision, current, link, manifest } = result;
  const wanted = decision.action === 'issue';
  if (service.signal.aborted) return wanted ? interrupted(result) : result;
  const nextLook = service.clock.now() + LOOK_AGAIN;
  if (error instanceof PodserveError && error.code === 'PUBLICATION_LOCKED') {
    const detail = wanted ? `${decision.detail}; ${describeError(error)}` : decision.detail;
    const waiting = wanted ? interrupted(result) : result;
    return { ...waiting, decision: { ...waiting.decision, detail, nextLook } };
  }
  if (!wanted) return { ...result, decision: { ...decision, nextLook }, warnings: [describeError(error)] };
  return { ...failed(service, spec, { link, current, generation: undefined }, decision, error, tookMs), manifest };
}
