import { retryTime } from '../../certificate/backoff.ts';
import type { Bundle } from '../../certificate/bundle.ts';
import { generationDirectory, type Manifest } from '../../certificate/generation.ts';
import { renewalTime, type Decision } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import { describeError, PodserveError } from '../../platform/errors.ts';
import { adopt, findPlainFiles } from '../../publication/adopt.ts';
import type { PublicationLock } from '../../publication/lock.ts';
import { publish, restoreGeneration } from '../../publication/publish.ts';
import { decideOn, failedLook, resultOf, type Terms } from './look.ts';
import type { Result } from './result.ts';
import type { CertificateService } from './service.ts';
import { survey, surveyKept, type Survey } from './survey.ts';

/**
 * Does for one certificate what is to be done, after looking again: another process may have done it while
 * this one waited for the lock. Never throws; a failure is in the result.
 */
export async function act(service: CertificateService, lock: PublicationLock, spec: CertificateSpec, terms: Terms): Promise<Result> {
  const started = service.clock.now();
  let found: Survey;
  let warnings: readonly string[] = [];
  try {
    found = await survey(lock.root, spec.name);
    if (await findPlainFiles(lock.root, spec.name)) {
      const adoption = await adopt(lock, spec.name, { now: terms.now, keyGid: service.config.keyGid, publisher: service.publisher });
      warnings = adoption.warnings;
      if (adoption.manifest !== undefined) {
        found = await survey(lock.root, spec.name);
        const decision = await decideOn(service, spec, found, terms);
        if (decision.action !== 'issue') return { ...resultOf(spec, found, decision), outcome: 'adopted', warnings };
      }
    }
  } catch (error) {
    return failedLook(service, spec, terms.now, error);
  }
  const decision = await decideOn(service, spec, found, terms);
  try {
    if (decision.action === 'restore' && decision.generation !== undefined) {
      const manifest = await restoreGeneration(lock, spec.name, decision.generation, terms.now);
      return changed(spec, 'restored', decision, manifest, warnings);
    }
    if (decision.action !== 'issue') return { ...resultOf(spec, found, decision), warnings };
    return await issue(service, lock, spec, decision, terms, warnings);
  } catch (error) {
    return failed(service, lock, spec, found, decision, error, service.clock.now() - started);
  }
}

async function issue(
  service: CertificateService,
  lock: PublicationLock,
  spec: CertificateSpec,
  decision: Decision,
  terms: Terms,
  before: readonly string[],
): Promise<Result> {
  const { issuer, bundle, refusals } = await firstInHand(service, spec, decision, terms);
  const { manifest, warnings } = await publish(lock, {
    name: spec.name,
    bundle,
    issuer,
    origin: 'issued',
    placeholder: false,
    now: terms.now,
    keyGid: service.config.keyGid,
    publisher: service.publisher,
    identifiers: spec.identifiers,
  });
  return changed(spec, 'published', decision, manifest, [...before, ...refusals, ...warnings]);
}

/** Asks the allowed issuers in order for a certificate. @throws the last issuer's error when all refused */
async function firstInHand(
  service: CertificateService,
  spec: CertificateSpec,
  decision: Decision,
  { now, caTrouble }: Terms,
): Promise<{ issuer: string; bundle: Bundle; refusals: string[] }> {
  const refusals: string[] = [];
  let refused: unknown;
  for (const name of decision.issuers) {
    try {
      if (name === 'local-ca' && caTrouble !== undefined) throw caTrouble;
      const issuer = await service.issuers.named(name);
      return { issuer: name, bundle: await issuer.issue(spec, { now, signal: service.signal }), refusals };
    } catch (error) {
      if (service.signal.aborted) throw error;
      refused = error;
      refusals.push(describeError(error));
    }
  }
  throw refused ?? new PodserveError('ISSUE_FAILED', `no issuer may certify ${spec.name}`, { why: decision.detail });
}

function changed(
  spec: CertificateSpec,
  outcome: 'published' | 'restored',
  decision: Decision,
  manifest: Manifest,
  warnings: readonly string[],
): Result {
  const published = {
    generation: manifest.generation,
    issuer: manifest.issuer,
    origin: manifest.origin,
    placeholder: manifest.placeholder,
    keyType: manifest.keyType,
    identifiers: spec.identifiers,
    notBefore: Date.parse(manifest.notBefore),
    notAfter: Date.parse(manifest.notAfter),
  };
  const nextLook = renewalTime(spec, published);
  return {
    spec,
    outcome,
    // The need is met: the decision keeps its reason, and from here on asks for no attention.
    decision: { ...decision, nextLook, emergency: false },
    current: { state: 'published', ...published },
    link: generationDirectory(manifest.generation),
    manifest,
    warnings,
    error: undefined,
  };
}

/** A failure, and what was done about it: the next try, and a whole kept generation in place of a damaged one. */
async function failed(
  service: CertificateService,
  lock: PublicationLock,
  spec: CertificateSpec,
  found: Survey,
  decision: Decision,
  error: unknown,
  tookMs: number,
): Promise<Result> {
  const now = service.clock.now();
  // Being told to stop is no failure: the next start takes it up at once.
  if (service.signal.aborted) return resultOf(spec, found, { ...decision, action: 'wait', nextLook: now });
  const count = (service.ledger.failure(spec.name)?.count ?? 0) + 1;
  const notAfter = found.current.state === 'published' ? found.current.notAfter : undefined;
  const retryAt = retryTime({ count, at: now, notAfter }, service.random());
  service.log.error(
    {
      certificate: spec.name,
      reason: decision.reason,
      issuers: decision.issuers,
      tookMs,
      failures: count,
      retryAt: new Date(retryAt).toISOString(),
    },
    describeError(error),
  );
  const base = resultOf(spec, found, { ...decision, action: 'wait', nextLook: retryAt });
  if (found.current.state === 'damaged') {
    const kept = (await surveyKept(lock.root, spec.name, found.link)).find((one) => one.notBefore <= now && now < one.notAfter);
    if (kept !== undefined) {
      try {
        const manifest = await restoreGeneration(lock, spec.name, kept.generation, now);
        return {
          ...base,
          outcome: 'failed',
          link: generationDirectory(kept.generation),
          manifest,
          error,
          warnings: [`went back to generation ${kept.generation}`],
        };
      } catch {
        // The volume takes no change at all; the first error says so already.
      }
    }
  }
  return { ...base, outcome: 'failed', error };
}
