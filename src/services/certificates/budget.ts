import { budget, type BudgetRow, type UseKind } from '../../certificate/rate-limits.ts';
import type { Decision, Held } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import type { AcmeIssuer } from '../../issuers/acme/acme.ts';
import { minute } from '../../platform/dates.ts';
import { registeredDomain } from '../../issuers/acme/registered-domain.ts';
import { namesKey } from '../../issuers/acme/uses.ts';
import { isInWindow } from './advice.ts';
import type { CertificateService } from './service.ts';
import type { Survey } from './survey.ts';

/** What one order would use of an issuer's limits, and what is left of them. */
interface Cost {
  readonly issuer: string;
  /** When the issuer's limits allow the order, ms since the epoch. */
  readonly allowedAt: number;
  readonly rows: readonly BudgetRow[];
}

/** The ACME issuers of a certificate whose limits allow no order now (one that it exempts, or has counted already, is always allowed). */
export async function budgetHolds(
  service: CertificateService,
  acme: (name: string) => Promise<AcmeIssuer>,
  spec: CertificateSpec,
  found: Survey,
  now: number,
): Promise<ReadonlyMap<string, Held>> {
  const held = new Map<string, Held>();
  for (const name of spec.issuers) {
    if (isExempt(service, spec, found, name, now)) continue;
    const cost = await costOf(service, spec, name, now);
    if (cost === undefined || cost.allowedAt <= now) continue;
    if ((await acme(name)).isUnderWay(spec, found.generation?.bundle.leaf)) continue;
    held.set(name, { until: cost.allowedAt, why: `the rate limits of ${name} are used up: ${describeCost(cost, now)}` });
  }
  return held;
}

/** What an order from this issuer would use, or undefined where it has no limits, or is only rehearsed. */
async function costOf(service: CertificateService, spec: CertificateSpec, name: string, now: number): Promise<Cost | undefined> {
  const issuer = service.config.issuers[name];
  if (issuer === undefined || issuer.limits.length === 0 || issuer.rehearse !== undefined) return undefined;
  const longest = Math.max(...issuer.limits.map(({ window }) => window));
  const uses = service.ledger.uses(name, now - longest);
  return { issuer: name, ...budget(issuer.limits, uses, await wantedOf(spec, issuer), now) };
}

/** `2 of 5 for this set of names in 7 days` … one clause for each limit that an order touches. */
function describeCost({ rows }: Cost, now: number): string {
  return rows
    .filter(({ used, left }) => used > 0 || left <= 0)
    .map((row) => describeRow(row, now))
    .join('; ');
}

function describeRow({ kind, subject, used, count, window, nextSlot }: BudgetRow, now: number): string {
  const whose = subject === '' || kind === 'duplicate' ? '' : ` for ${subject}`;
  const what = `${used} of ${count} ${WORDS[kind]}${whose} used in ${hours(window)}`;
  return nextSlot > now ? `${what}, the next is free at ${minute(nextSlot)}` : what;
}

/** One line for each issuer that counts and may be asked: what an order would use, and what is left. */
export async function costLines(service: CertificateService, spec: CertificateSpec, decision: Decision, now: number): Promise<string[]> {
  const costs = await Promise.all(decision.issuers.map((name) => costOf(service, spec, name, now)));
  return costs
    .filter((cost) => cost !== undefined)
    .map((cost) => {
      const scarce = [...cost.rows].sort((one, other) => one.left - other.left).slice(0, 2);
      return `${spec.name}: an order counts against the limits of ${cost.issuer}: ${scarce.map((row) => describeRow(row, now)).join('; ')}`;
    });
}

const WORDS: Readonly<Record<UseKind, string>> = {
  account: 'accounts',
  order: 'orders',
  certificate: 'certificates',
  duplicate: 'certificates for exactly these names',
  failure: 'failed authorizations',
};

function hours(window: number): string {
  const count = window / 3_600_000;
  return count >= 48 && count % 24 === 0 ? `${count / 24} days` : `${count} h`;
}

/** Renewals that say what they replace, within the window that the CA itself gave, count against no limit. */
function isExempt(service: CertificateService, spec: CertificateSpec, found: Survey, issuer: string, now: number): boolean {
  if (found.current.state !== 'published' || found.current.issuer !== issuer) return false;
  return isInWindow(service, spec, found, now);
}

async function wantedOf(spec: CertificateSpec, { limits }: AcmeIssuerConfig): Promise<{ kind: UseKind; subject: string }[]> {
  const kinds = new Set(limits.map(({ kind }) => kind));
  const wanted: { kind: UseKind; subject: string }[] = [{ kind: 'order', subject: '' }];
  if (kinds.has('certificate')) {
    const domains = new Set(await Promise.all(spec.identifiers.map(registeredDomain)));
    wanted.push(...[...domains].map((subject) => ({ kind: 'certificate' as const, subject })));
  }
  if (kinds.has('duplicate')) wanted.push({ kind: 'duplicate', subject: namesKey(spec.identifiers) });
  if (kinds.has('failure'))
    wanted.push(...spec.identifiers.map(({ value }) => ({ kind: 'failure' as const, subject: value.replace(/^\*\./, '') })));
  return wanted.filter(({ kind }) => kinds.has(kind));
}
