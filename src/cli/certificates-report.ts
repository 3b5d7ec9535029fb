import type { Decision } from '../certificate/renewal.ts';
import { inDays, minute } from '../platform/dates.ts';
import { describeError } from '../platform/errors.ts';
import type { Result } from '../services/certificates/result.ts';
import { flag, type Arguments, type Context } from './command.ts';

const LONGEST_LIST = 50;

export interface Report {
  readonly results: readonly Result[];
  readonly skipped: number;
  readonly nextLook: number | undefined;
  readonly root: string;
  /** Further members of the JSON. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** Says what became of each certificate, and what comes next. */
export function reportResults(args: Arguments, context: Context, { results, skipped, nextLook, root, extra }: Report): void {
  if (flag(args, 'json')) {
    const certificates = results.map(toJson);
    context.out(JSON.stringify({ ...extra, publication: root, certificates, notDue: skipped, nextLook: isoOrNull(nextLook) }, null, 2));
    return;
  }
  const now = context.clock.now();
  const failed = results.filter(hasFailed);
  const others = results.filter((result) => !failed.includes(result));
  const shown = flag(args, 'dry-run') ? others : others.slice(0, LONGEST_LIST);
  for (const result of shown) context.out(describe(result, now));
  if (others.length > shown.length) context.out(`… and ${others.length - shown.length} more: ${counted(others.slice(shown.length))}`);
  for (const result of failed) context.err(describe(result, now));
  if (skipped > 0) context.out(`${skipped} not due${nextLook === undefined ? '' : `; the next look is at ${minute(nextLook)}`}`);
  if (results.some(({ outcome }) => outcome === 'published'))
    context.out(`published in ${root}; podserve status shows what each consumer serves`);
}

/** Whether nobody has to do anything about these. */
export function succeeded(results: readonly Result[]): boolean {
  return !results.some(hasFailed);
}

function hasFailed({ outcome, decision }: Result): boolean {
  return outcome === 'failed' || decision.reason === 'clock-behind';
}

/** `2 published, 40 kept` */
function counted(results: readonly Result[]): string {
  const counts = new Map<string, number>();
  for (const { outcome } of results) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
}

function describe({ spec, outcome, decision, manifest, error, retryAt }: Result, now: number): string {
  const { name } = spec;
  switch (outcome) {
    case 'published':
    case 'restored':
    case 'adopted': {
      const expiry = Date.parse(manifest?.notAfter ?? '');
      const verb = outcome === 'published' ? 'issued' : outcome;
      return `${name}: ${verb}: generation ${manifest?.generation} of ${manifest?.issuer} for ${manifest?.identifiers.join(', ')}; expires ${minute(expiry)} (${inDays(expiry - now)}); before: ${decision.detail}`;
    }
    case 'placeholder':
      return `${name}: placeholder published: generation ${manifest?.generation}, valid until ${minute(Date.parse(manifest?.notAfter ?? ''))}; ${decision.issuers[0] ?? 'the issuer'} is asked by podserve certificates --mode cron or renew`;
    case 'rehearsed':
      return `${name}: rehearsed: ${decision.detail}; nothing was published`;
    case 'failed':
      return `${name}: FAILED: ${describeError(error)}; next try ${minute(retryAt ?? decision.nextLook)}${standIn(manifest)}`;
    case 'planned':
      return `${name}: would ${plan(decision)} now: ${decision.reason}: ${decision.detail}`;
    case 'waiting':
      return `${name}: waiting until ${minute(decision.nextLook)}: ${decision.reason}: ${decision.detail}`;
    case 'kept':
      return `${name}: kept until ${minute(decision.nextLook)}: ${decision.reason}: ${decision.detail}`;
  }
}

function standIn(manifest: Result['manifest']): string {
  return manifest?.placeholder === true
    ? `; until then a placeholder is published, valid until ${minute(Date.parse(manifest.notAfter))}`
    : '';
}

function plan({ action, generation, issuers }: Decision): string {
  if (action === 'restore') return `go back to generation ${generation}`;
  return action === 'placeholder' ? 'publish a placeholder' : `issue from ${issuers[0] ?? 'nobody'}`;
}

function toJson({ spec, outcome, decision, manifest, error, warnings }: Result): object {
  return {
    name: spec.name,
    outcome,
    action: decision.action,
    reason: decision.reason,
    detail: decision.detail,
    nextLook: isoOrNull(decision.nextLook),
    emergency: decision.emergency,
    generation: manifest ?? null,
    warnings,
    failure: error === undefined ? null : describeError(error),
  };
}

function isoOrNull(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}
