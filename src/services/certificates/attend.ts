import { join } from 'node:path';

import { LONGEST_RETRY_AFTER } from '../../certificate/backoff.ts';
import { fallsBack } from '../../certificate/fallback.ts';
import type { Bundle } from '../../certificate/bundle.ts';
import { decide, type Decision } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import { IssueFailure } from '../../issuers/acme/failure.ts';
import type { AcmeIssuer } from '../../issuers/acme/acme.ts';
import { MINUTE } from '../../platform/clock.ts';
import { describeError, PodserveError } from '../../platform/errors.ts';
import { currentLink } from '../../publication/layout.ts';
import type { PublicationLock } from '../../publication/lock.ts';
import { publish } from '../../publication/publish.ts';
import { adviceDue, advisor, askAdvice, isInWindow } from './advice.ts';
import { budgetHolds, costLines } from './budget.ts';
import { failed } from './failed.ts';
import { decideOn, failedLook, resultOf, type Look } from './look.ts';
import { lockOrder } from './order-lock.ts';
import { preflightOnce } from './preflight-once.ts';
import type { Publishing } from './publishing.ts';
import { keepRehearsal } from './rehearsal.ts';
import { changed, type Result } from './result.ts';
import { publishCurrentRoots } from './roots.ts';
import type { CertificateService } from './service.ts';
import { situationOf, type Terms } from './situation.ts';
import { survey, type Survey } from './survey.ts';
import { unattended } from './unattended.ts';

/** What a batch of orders shares. */
export interface Batch {
  readonly service: CertificateService;
  readonly terms: Terms;
  readonly publishing: Publishing;
  /** How long a first order waits for a web server that is not up yet, ms. */
  readonly patience: number;
  /** Opened once for all orders of the batch. */
  readonly acme: (name: string) => Promise<AcmeIssuer>;
}

/**
 * Does for one certificate what needs an ACME server: asks when to renew it, and orders it when that time has come,
 * after looking again under its own lock. The publication is locked only to publish. Never throws; a failure is in the result.
 */
export async function attend(batch: Batch, looked: Pick<Look, 'spec' | 'result'>): Promise<Result> {
  const { service } = batch;
  const { spec } = looked;
  const started = service.clock.now();
  let lock: AsyncDisposable;
  try {
    lock = await lockOrder(service, spec.name);
  } catch (error) {
    return unattended(service, looked, error, service.clock.now() - started);
  }
  try {
    await using _ = lock;
    return await attendLocked(batch, spec);
  } catch (error) {
    return failedLook(service, spec, service.clock.now(), error);
  }
}

async function attendLocked(batch: Batch, spec: CertificateSpec): Promise<Result> {
  const { service } = batch;
  const found = await survey(service.paths.certificates, spec.name);
  const adviser = advisor(service, found);
  if (adviser !== undefined && adviceDue(service, spec, found, service.clock.now())) {
    const issuer = await batch.acme(adviser);
    if (found.generation !== undefined) issuer.settledBefore(spec.name, found.generation.bundle.leaf);
    await askAdvice(service, issuer, spec, found);
  }
  const terms = { ...batch.terms, now: service.clock.now() };
  const budgeted = await budgetHolds(service, batch.acme, spec, found, terms.now);
  const decision = await decideOn(service, spec, found, terms, budgeted);
  if (decision.action !== 'issue') return resultOf(spec, found, leftToNextLook(decision, terms.now));
  const costs = terms.force ? await costLines(service, spec, decision, terms.now) : [];
  const result = await order(batch, spec, found, decision);
  return { ...result, warnings: [...costs, ...result.warnings] };
}

/** Placeholders are published and kept generations restored at the next look, which is soon. */
function leftToNextLook(decision: Decision, now: number): Decision {
  if (decision.action === 'keep' || decision.action === 'wait') return decision;
  return { ...decision, action: 'wait', nextLook: Math.min(decision.nextLook, now + MINUTE) };
}

/** Asks the allowed issuers in order, going on to the next as the kind of failure says. */
async function order(batch: Batch, spec: CertificateSpec, found: Survey, decision: Decision): Promise<Result> {
  const { service } = batch;
  const started = service.clock.now();
  const nothingServed = found.current.state !== 'published' || found.current.notAfter <= started;
  const refusals: unknown[] = [];
  let askedLast: string | undefined;
  for (const issuer of decision.issuers) {
    try {
      const result = await orderFrom(batch, issuer, spec, found, decision);
      return { ...result, warnings: [...refusals.map(describeError), ...result.warnings] };
    } catch (error) {
      if (service.signal.aborted) return resultOf(spec, found, { ...decision, action: 'wait', nextLook: service.clock.now() });
      refusals.push(error);
      askedLast = issuer;
      holdIssuer(service, issuer, error);
      const count = (service.ledger.failure(spec.name)?.count ?? 0) + 1;
      const kind = error instanceof IssueFailure ? error.kind : undefined;
      if (isPublications(error) || !fallsBack(kind, count, nothingServed)) break;
    }
  }
  const tookMs = service.clock.now() - started;
  const last = refusals.at(-1) ?? nobody(spec, decision);
  const warnings = refusals.slice(0, -1).map(describeError);
  return { ...failed(service, spec, found, decision, last, tookMs), askedLast, warnings };
}

async function orderFrom(batch: Batch, name: string, spec: CertificateSpec, found: Survey, decision: Decision): Promise<Result> {
  const { service } = batch;
  const config = service.config.issuers[name];
  const { signal, clock } = service;
  if (config === undefined && (name === 'local-ca' || name === 'self-signed')) {
    return publishOrdered(batch, spec, found, decision, name, async (lock) => {
      if (name === 'local-ca') {
        const { trouble } = await publishCurrentRoots(service, lock, clock.now());
        if (trouble !== undefined) throw trouble;
      }
      return (await service.issuers.named(name)).issue(spec, { now: clock.now(), signal });
    });
  }
  const issuer = await batch.acme(name);
  await preflightOnce(service, spec, issuer.config, batch.patience);
  const { current, generation } = found;
  const ours = current.state === 'published' && current.issuer === name && !current.placeholder && current.origin === 'issued';
  const inWindow = isInWindow(service, spec, found, clock.now());
  const replaces = ours && generation !== undefined ? { replaces: { leaf: generation.bundle.leaf, inWindow } } : {};
  const bundle = await issuer.issue(spec, { now: clock.now(), signal, ...replaces });
  service.ledger.clearHold(name);
  if (issuer.config.rehearse !== undefined) {
    issuer.settled(spec.name);
    return rehearsed(service, spec, found, decision, issuer);
  }
  const result = await publishOrdered(batch, spec, found, decision, name, async () => bundle);
  issuer.settled(spec.name);
  if (result.outcome !== 'published') return result;
  const published = surveyOf(service, result, bundle);
  await askAdvice(service, issuer, spec, published);
  const next = decide(await situationOf(service, spec, published, { ...batch.terms, now: clock.now(), force: false }));
  return { ...result, decision: { ...result.decision, nextLook: next.nextLook } };
}

/** Publishes what an issuer gave, unless somebody else has published something meanwhile that makes it unnecessary. */
async function publishOrdered(
  batch: Batch,
  spec: CertificateSpec,
  found: Survey,
  decision: Decision,
  issuer: string,
  obtain: (lock: PublicationLock) => Promise<Bundle>,
): Promise<Result> {
  const { service, terms } = batch;
  return batch.publishing.run(async (lock) => {
    const now = service.clock.now();
    if (currentLink(lock.root, spec.name) !== found.link) {
      const again = await survey(lock.root, spec.name);
      const late = decide(await situationOf(service, spec, again, { ...terms, now, force: false }));
      if (late.action !== 'issue' || !late.issuers.includes(issuer)) return resultOf(spec, again, late);
    }
    const { manifest, warnings } = await publish(lock, {
      name: spec.name,
      bundle: await obtain(lock),
      issuer,
      origin: 'issued',
      placeholder: false,
      profile: service.config.issuers[issuer]?.profile,
      now,
      keyGid: service.config.keyGid,
      publisher: service.publisher,
      identifiers: spec.identifiers,
    });
    return changed(spec, 'published', decision, manifest, warnings);
  });
}

/** What a look at what was just published would find: it was proven then, and is not read and proven once more. */
function surveyOf({ paths }: CertificateService, { spec, current, link, manifest }: Result, bundle: Bundle): Survey {
  if (link === undefined || manifest === undefined) return { link, current, generation: undefined };
  const directory = join(paths.certificates, spec.name, link);
  return { link, current, generation: { number: manifest.generation, directory, manifest, bundle } };
}

/** The whole way has been gone and what came was right; the publication is as it was. */
async function rehearsed(
  service: CertificateService,
  spec: CertificateSpec,
  found: Survey,
  decision: Decision,
  { config }: AcmeIssuer,
): Promise<Result> {
  const now = service.clock.now();
  keepRehearsal(service.ledger, spec, config, now);
  const detail = `${config.rehearse} gave a certificate for all names: take rehearse out of issuers.${config.name} to order the real one`;
  const next = decide(await situationOf(service, spec, found, { now, force: false, clockBehind: false }));
  return { ...resultOf(spec, found, { ...decision, detail, nextLook: next.nextLook }), outcome: 'rehearsed' };
}

/** What the server said of all orders holds for all certificates: they wait without asking it one by one. */
function holdIssuer({ ledger, clock }: CertificateService, issuer: string, error: unknown): void {
  if (!(error instanceof IssueFailure) || error.scope !== 'issuer' || error.retryAt === undefined) return;
  const until = Math.min(error.retryAt, clock.now() + LONGEST_RETRY_AFTER);
  ledger.keepHold({ issuer, until, why: describeError(error), link: error.unpauseUrl });
}

/** What was issued is in hand and could not be published: another issuer's could not either, and would be ordered in vain. */
function isPublications(error: unknown): boolean {
  return error instanceof PodserveError && error.code.startsWith('PUBLICATION_');
}

function nobody(spec: CertificateSpec, decision: Decision): PodserveError {
  return new PodserveError('ISSUE_FAILED', `no issuer may certify ${spec.name}`, { why: decision.detail });
}
