import type { Bundle } from '../../certificate/bundle.ts';
import { generationDirectory, type Manifest } from '../../certificate/generation.ts';
import { PLACEHOLDER_LIFETIME, type Decision } from '../../certificate/renewal.ts';
import { isLocalIssuer, type CertificateSpec } from '../../certificate/spec.ts';
import { describeError, PodserveError } from '../../platform/errors.ts';
import { adopt, findPlainFiles } from '../../publication/adopt.ts';
import type { PublicationLock } from '../../publication/lock.ts';
import { publish, restoreGeneration } from '../../publication/publish.ts';
import { failed } from './failed.ts';
import { decideOn, failedLook, resultOf } from './look.ts';
import { changed, type Result } from './result.ts';
import type { CertificateService } from './service.ts';
import type { Terms } from './situation.ts';
import { survey, surveyKept, type Survey } from './survey.ts';

/**
 * Does for one certificate what can be done at once, without a network, after looking again: another process may have
 * done it while this one waited for the lock. Never throws; a failure is in the result.
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
    if (decision.placeholder === true) return await publishPlaceholder(service, lock, spec, decision, terms, warnings);
    const local = decision.action === 'issue' && isLocalIssuer(decision.issuers[0] ?? '');
    if (!local) return await bridge(lock, spec, found, decision, terms, warnings);
    return await issue(service, lock, spec, decision, terms, warnings);
  } catch (error) {
    const now = service.clock.now();
    return goBack(lock, spec, found, now, failed(service, spec, found, decision, error, now - started));
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

/** Lets whoever serves the certificate start before an ACME server has answered. */
async function publishPlaceholder(
  service: CertificateService,
  lock: PublicationLock,
  spec: CertificateSpec,
  decision: Decision,
  { now, caTrouble }: Terms,
  before: readonly string[],
): Promise<Result> {
  if (caTrouble !== undefined) throw caTrouble;
  const ca = await service.issuers.localCa();
  const bundle = await ca.issue(spec, { now, lifetime: PLACEHOLDER_LIFETIME, signal: service.signal });
  const { manifest, warnings } = await publish(lock, {
    name: spec.name,
    bundle,
    issuer: ca.name,
    origin: 'issued',
    placeholder: true,
    now,
    keyGid: service.config.keyGid,
    publisher: service.publisher,
    identifiers: spec.identifiers,
  });
  const result = changed(spec, 'placeholder', decision, manifest, [...before, ...warnings]);
  return { ...result, decision: { ...result.decision, nextLook: Math.min(result.decision.nextLook, decision.nextLook) } };
}

/** Until an ACME server has been asked: what is damaged gives way to a kept one. */
async function bridge(
  lock: PublicationLock,
  spec: CertificateSpec,
  found: Survey,
  decision: Decision,
  { now }: Terms,
  warnings: readonly string[],
): Promise<Result> {
  const manifest = await restoreKept(lock, spec, found, now);
  if (manifest === undefined) return { ...resultOf(spec, found, decision), warnings };
  const result = changed(spec, 'restored', decision, manifest, warnings);
  return { ...result, decision: { ...result.decision, nextLook: now } };
}

/** After a failure: the same, and where the volume takes no change at all, the failure says so already. */
async function goBack(lock: PublicationLock, spec: CertificateSpec, found: Survey, now: number, result: Result): Promise<Result> {
  if (result.outcome !== 'failed') return result;
  const manifest = await restoreKept(lock, spec, found, now).catch(() => undefined);
  if (manifest === undefined) return result;
  const { generation } = manifest;
  return { ...result, link: generationDirectory(generation), manifest, warnings: [`went back to generation ${generation}`] };
}

/** Puts the newest kept generation that is whole and valid in place of a damaged one. */
async function restoreKept(lock: PublicationLock, spec: CertificateSpec, found: Survey, now: number): Promise<Manifest | undefined> {
  if (found.current.state !== 'damaged') return undefined;
  const kept = (await surveyKept(lock.root, spec.name, found.link)).find((one) => one.notBefore <= now && now < one.notAfter);
  return kept === undefined ? undefined : restoreGeneration(lock, spec.name, kept.generation, now);
}

/** Asks the allowed local issuers in order for a certificate. @throws the last issuer's error when all refused */
async function firstInHand(
  service: CertificateService,
  spec: CertificateSpec,
  decision: Decision,
  { now, caTrouble }: Terms,
): Promise<{ issuer: string; bundle: Bundle; refusals: string[] }> {
  const refusals: string[] = [];
  let refused: unknown;
  for (const name of decision.issuers.filter(isLocalIssuer)) {
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
