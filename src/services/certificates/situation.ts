import { CLOCK_TOLERANCE } from '../../certificate/clock-evidence.ts';
import type { Held, Situation } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import { DAY } from '../../platform/clock.ts';
import { adviceOf } from './advice.ts';
import { rehearsedAt } from './rehearsal.ts';
import type { CertificateService } from './service.ts';
import { surveyKept, type Survey } from './survey.ts';

/** What holds for a whole pass. */
export interface Terms {
  readonly now: number;
  readonly force: boolean;
  readonly clockBehind: boolean;
  /** Why the built-in CA cannot be used in this pass, or undefined. */
  readonly caTrouble?: unknown;
}

/** A rehearsal that succeeded says all it can; it is repeated now and then, because DNS and firewalls change. */
const REHEARSAL_HOLDS = 7 * DAY;

/**
 * All that the decision about one certificate depends on, from what was found and from the ledger.
 * @param budgeted issuers that the rate-limit budget holds back, where that was looked at
 */
export async function situationOf(
  service: CertificateService,
  spec: CertificateSpec,
  found: Survey,
  terms: Terms,
  budgeted: ReadonlyMap<string, Held> = new Map(),
): Promise<Situation> {
  const { ledger, config, paths } = service;
  const { current, generation, link } = found;
  const mayGoBack = current.state === 'damaged' || (current.state === 'published' && current.notBefore > terms.now);
  const kept = mayGoBack ? await surveyKept(paths.certificates, spec.name, link) : [];
  const from = current.state === 'published' ? config.issuers[current.issuer] : undefined;
  const failure = ledger.failure(spec.name);
  return {
    spec,
    current,
    kept,
    retryAt: failure?.retryAt,
    failedAt: failure?.at,
    askedLast: failure?.issuer,
    advice: adviceOf(service, spec, found),
    revoked: generation === undefined ? undefined : ledger.revocation(generation.manifest.leafSha256),
    ...(from === undefined ? {} : { profile: from.profile }),
    held: new Map([...heldIssuers(service, spec, terms.now), ...budgeted]),
    ...terms,
  };
}

/** The issuers of a certificate that want no order now: they said so, or they have been rehearsed with success. */
function heldIssuers({ ledger, config }: CertificateService, spec: CertificateSpec, now: number): [string, Held][] {
  return spec.issuers.flatMap((name): [string, Held][] => {
    const issuer = config.issuers[name];
    if (issuer === undefined) return [];
    const hold = ledger.hold(name);
    if (hold !== undefined && hold.until > now) return [[name, { until: hold.until, why: `${name} takes no orders: ${hold.why}` }]];
    const rehearsed = issuer.rehearse === undefined ? undefined : rehearsedAt(ledger, spec, issuer);
    if (rehearsed === undefined || rehearsed + REHEARSAL_HOLDS <= now || rehearsed > now + CLOCK_TOLERANCE) return [];
    const why = `its rehearsal succeeded at ${new Date(rehearsed).toISOString()}: take rehearse out of issuers.${name} to order the real one`;
    return [[name, { until: rehearsed + REHEARSAL_HOLDS, why }]];
  });
}
