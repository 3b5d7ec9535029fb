import { retryTime } from '../../certificate/backoff.ts';
import { decide, type Decision } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import { describeError } from '../../platform/errors.ts';
import { findPlainFiles } from '../../publication/adopt.ts';
import { currentLink } from '../../publication/layout.ts';
import type { Result } from './result.ts';
import type { CertificateService } from './service.ts';
import { survey, surveyKept, type Survey } from './survey.ts';

/** What holds for a whole pass. */
export interface Terms {
  readonly now: number;
  readonly force: boolean;
  readonly clockBehind: boolean;
  /** Why the built-in CA cannot be used in this pass, or undefined. */
  readonly caTrouble?: unknown;
}

export interface Look {
  readonly spec: CertificateSpec;
  /** Whether something has to be done, under the lock. */
  readonly act: boolean;
  readonly result: Result;
}

/** Reads one certificate and decides. Changes nothing. */
export async function look(service: CertificateService, spec: CertificateSpec, terms: Terms): Promise<Look> {
  const root = service.paths.certificates;
  try {
    const found = await survey(root, spec.name);
    const decision = await decideOn(service, spec, found, terms);
    const toAdopt = await findPlainFiles(root, spec.name);
    const act = toAdopt || decision.action === 'issue' || decision.action === 'restore';
    return { spec, act, result: resultOf(spec, found, decision) };
  } catch (error) {
    return { spec, act: false, result: failedLook(service, spec, terms.now, error) };
  }
}

export async function decideOn(service: CertificateService, spec: CertificateSpec, found: Survey, terms: Terms): Promise<Decision> {
  const { current, link } = found;
  const mayGoBack = current.state === 'published' && current.notBefore > terms.now;
  const kept = mayGoBack ? await surveyKept(service.paths.certificates, spec.name, link) : [];
  return decide({ spec, current, kept, retryAt: service.ledger.failure(spec.name)?.retryAt, ...terms });
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
