import { retryTime } from '../../certificate/backoff.ts';
import { decide, type Decision, type Held } from '../../certificate/renewal.ts';
import { isLocalIssuer, type CertificateSpec } from '../../certificate/spec.ts';
import { describeError } from '../../platform/errors.ts';
import { findPlainFiles } from '../../publication/adopt.ts';
import { currentLink } from '../../publication/layout.ts';
import { adviceDue } from './advice.ts';
import type { Result } from './result.ts';
import type { CertificateService } from './service.ts';
import { situationOf, type Terms } from './situation.ts';
import { survey, type Survey } from './survey.ts';

export interface Look {
  readonly spec: CertificateSpec;
  /** Whether something can be done at once, under the publication lock. */
  readonly act: boolean;
  /** Whether an ACME server has to be asked. */
  readonly attend: boolean;
  readonly result: Result;
}

/** Reads one certificate and decides. Changes nothing. */
export async function look(service: CertificateService, spec: CertificateSpec, terms: Terms): Promise<Look> {
  const root = service.paths.certificates;
  try {
    const found = await survey(root, spec.name);
    const decision = await decideOn(service, spec, found, terms);
    const issue = decision.action === 'issue';
    const remote = issue && !isLocalIssuer(decision.issuers[0] ?? '');
    const atOnce = decision.action === 'restore' || decision.placeholder === true || (issue && !remote);
    const act = atOnce || (remote && found.current.state === 'damaged') || (await findPlainFiles(root, spec.name));
    const attend = remote || (!terms.clockBehind && adviceDue(service, spec, found, terms.now));
    return { spec, act, attend, result: resultOf(spec, found, decision) };
  } catch (error) {
    return { spec, act: false, attend: false, result: failedLook(service, spec, terms.now, error) };
  }
}

/** @param budgeted issuers that the rate-limit budget holds back, where that was looked at */
export async function decideOn(
  service: CertificateService,
  spec: CertificateSpec,
  found: Survey,
  terms: Terms,
  budgeted?: ReadonlyMap<string, Held>,
): Promise<Decision> {
  return decide(await situationOf(service, spec, found, terms, budgeted));
}

export function resultOf(spec: CertificateSpec, found: Survey, decision: Decision): Result {
  return {
    spec,
    outcome: decision.action === 'wait' ? 'waiting' : 'kept',
    decision,
    current: found.current,
    link: found.link,
    manifest: found.generation?.manifest,
    warnings: [],
    error: undefined,
  };
}

/** The result for a certificate that cannot even be read: nothing is known, so nothing is touched. */
export function failedLook(service: CertificateService, spec: CertificateSpec, now: number, error: unknown): Result {
  const count = (service.ledger.failure(spec.name)?.count ?? 0) + 1;
  const nextLook = retryTime({ count, at: now, notAfter: undefined }, service.random());
  return {
    spec,
    outcome: 'failed',
    decision: { action: 'wait', reason: 'unreadable', detail: describeError(error), nextLook, emergency: true, issuers: [] },
    current: { state: 'damaged', why: describeError(error) },
    link: currentLink(service.paths.certificates, spec.name),
    manifest: undefined,
    warnings: [],
    error,
  };
}
