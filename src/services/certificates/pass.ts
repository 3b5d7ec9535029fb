import { eachLimited } from '../../platform/concurrency.ts';
import { describeError } from '../../platform/errors.ts';
import { lockPublication } from '../../publication/lock.ts';
import { currentLink } from '../../publication/layout.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import { openAcmeIssuers } from './acme-issuers.ts';
import { act } from './act.ts';
import { settleClock } from './clock.ts';
import { budgetHolds, costLines } from './budget.ts';
import { forgetDeliveries } from './deliveries.ts';
import { forgetJudgedBy } from './judged-by.ts';
import { decideOn, look, resultOf, type Look } from './look.ts';
import { openOrders, type Orders } from './orders.ts';
import { isJudgedAs, stillHolds } from './outlook.ts';
import { publishCurrentRoots, rootsDue } from './roots.ts';
import { interrupted, type Result } from './result.ts';
import type { CertificateService } from './service.ts';
import { settle } from './settle.ts';
import type { Terms } from './situation.ts';
import { survey } from './survey.ts';

export interface PassOptions {
  /** Only these certificates; all when left out. */
  readonly names?: ReadonlySet<string>;
  /** Renew whatever the time and the back-off say. */
  readonly force?: boolean;
  /** Read every certificate, also those that the ledger says need no look. */
  readonly readAll?: boolean;
  /** Read these whatever the ledger says of them: something was seen to change. */
  readonly changed?: ReadonlySet<string>;
  /** Decide and report, change nothing. */
  readonly dryRun?: boolean;
  /** Who asks ACME servers. Left out: this pass, and it waits for them; `later`: whoever comes next. */
  readonly orders?: Orders | 'later';
  /** Which results the report holds; all when left out. A resident service has no use for thousands that say nothing new. */
  readonly reported?: (result: Result) => boolean;
}

export interface PassReport {
  /** One per certificate that was looked at, as far as they were asked for. */
  readonly results: readonly Result[];
  /** How many needed no look. */
  readonly skipped: number;
  readonly warnings: readonly string[];
}

/** Enough to keep the disk busy with syncs and one core with signing; more gains nothing. */
const AT_ONCE = 16;
/** Looked at, written down and forgotten together, so that memory does not grow with the number of certificates. */
const AT_A_TIME = 256;
const WAIT_FOR_LOCK_MS = 30_000;

/**
 * One pass over what is due: look, decide, then under the publication lock look and decide again, and act.
 * The failure of one certificate stops no other; each is in its result.
 * @throws PodserveError where nothing at all can be done: the lock, a read-only volume
 */
export async function runPass(service: CertificateService, options: PassOptions = {}): Promise<PassReport> {
  const { ledger, config, paths } = service;
  const now = service.clock.now();
  const verdict = settleClock(service, options);
  const terms: Terms = { now, force: options.force ?? false, clockBehind: verdict === 'behind' };
  const background = options.orders === 'later' ? undefined : options.orders;
  const wanted = config.certificates.filter(({ name }) => options.names?.has(name) ?? true);
  const due = wanted.filter((spec) => {
    if (background?.has(spec.name)) return false;
    if (terms.force || options.readAll || verdict !== 'right' || options.changed?.has(spec.name)) return true;
    return !stillHolds(ledger.outlook(spec.name), spec, config.issuers, currentLink(paths.certificates, spec.name), now);
  });
  const skipped = wanted.length - due.length;
  if (!options.dryRun) forgetMended(service, due);
  const { reported = () => true } = options;
  const results: Result[] = [];
  const pending: Look[] = [];
  for (let from = 0; from < due.length && !service.signal.aborted; from += AT_A_TIME) {
    const looks = await eachLimited(due.slice(from, from + AT_A_TIME), AT_ONCE, (spec) => look(service, spec, terms));
    if (options.dryRun) {
      results.push(...(await eachLimited(looks, AT_ONCE, (one) => planned(service, one, terms))));
      continue;
    }
    const idle = looks.filter((one) => !one.act && !one.attend).map((one) => one.result);
    settleAll(service, idle, now);
    results.push(...idle.filter(reported));
    pending.push(...looks.filter((one) => one.act || one.attend));
  }
  if (options.dryRun) return { results, skipped, warnings: warningsOf(results) };

  const atOnce = pending.filter((one) => one.act);
  const toAct = atOnce.length > 0 || (options.names === undefined && !terms.clockBehind && (await rootsDue(service, now)));
  const acted = toAct ? await actUnderLock(service, atOnce, terms, options.orders === 'later') : { results: [], warnings: [] };
  if (options.names === undefined) forgetOthers(service);
  const actedOn = new Map(acted.results.map((result) => [result.spec.name, result]));
  const toAttend = pending.filter((one) => one.attend).map((one) => ({ ...one, result: actedOn.get(one.spec.name) ?? one.result }));
  const attended = await attendTo(service, toAttend, terms, options.orders);
  const later = new Set(attended.map(({ spec }) => spec.name));
  const before = acted.results.filter(({ spec }) => !later.has(spec.name));
  return { results: [...results, ...before, ...attended], skipped, warnings: [...acted.warnings, ...warningsOf(attended)] };
}

/** What failed under another configuration says nothing of this one: whoever mends a mistake need not wait out its back-off. */
function forgetMended({ ledger, config }: CertificateService, due: readonly CertificateSpec[]): void {
  for (const spec of due) {
    const outlook = ledger.outlook(spec.name);
    if (outlook === undefined || isJudgedAs(outlook, spec, config.issuers)) continue;
    if (ledger.failure(spec.name) !== undefined) ledger.clearFailure(spec.name);
  }
}

/** Has the ACME servers asked: here and now, or by somebody else, and then the results are not known yet. */
async function attendTo(
  service: CertificateService,
  looks: readonly Look[],
  terms: Terms,
  orders: PassOptions['orders'],
): Promise<readonly Result[]> {
  if (looks.length === 0 || service.signal.aborted) return [];
  if (orders === 'later') {
    const untouched = looks.filter((one) => !one.act).map(({ result }) => result);
    settleAll(service, untouched, terms.now);
    return untouched;
  }
  if (orders !== undefined) {
    orders.add(service, looks, terms);
    return [];
  }
  const results: Result[] = [];
  await using own = openOrders({ settled: (result) => results.push(result) });
  own.add(service, looks, terms);
  await own.idle();
  return results;
}

/** What a look would lead to, and what that costs where somebody counts. */
async function planned(service: CertificateService, one: Look, terms: Terms): Promise<Result> {
  const { spec } = one;
  const result = one.attend && !one.act ? await withinBudget(service, spec, terms) : one.result;
  if (!one.act && result.decision.action !== 'issue') return result;
  return { ...result, outcome: 'planned', warnings: await costLines(service, spec, result.decision, terms.now) };
}

async function withinBudget(service: CertificateService, spec: CertificateSpec, terms: Terms): Promise<Result> {
  await using issuers = openAcmeIssuers(service);
  const found = await survey(service.paths.certificates, spec.name);
  const budgeted = await budgetHolds(service, (name) => issuers.acme(name), spec, found, terms.now);
  return resultOf(spec, found, await decideOn(service, spec, found, terms, budgeted));
}

/** Forgets certificates and endpoints that are no longer configured. */
function forgetOthers(service: CertificateService): void {
  const { ledger, config } = service;
  forgetDeliveries(service);
  const names = new Set(config.certificates.map(({ name }) => name));
  if (ledger.links().every(({ certificate }) => names.has(certificate))) return;
  ledger.together(() => {
    forgetJudgedBy(ledger);
    ledger.retainOnly(names);
  });
}

function settleAll(service: CertificateService, results: readonly Result[], now: number): void {
  service.ledger.together(() => {
    for (const result of results) settle(service, result, now);
  });
}

async function actUnderLock(
  service: CertificateService,
  pending: readonly Look[],
  terms: Terms,
  last: boolean,
): Promise<{ results: Result[]; warnings: string[] }> {
  await using lock = await lockPublication(service.paths.certificates, {
    publisher: service.publisher,
    waitMs: WAIT_FOR_LOCK_MS,
    signal: service.signal,
  });
  const { trouble } = await publishCurrentRoots(service, lock, terms.now);
  const results = await eachLimited(pending, AT_ONCE, async (one) =>
    service.signal.aborted ? interrupted(one.result) : act(service, lock, one.spec, { ...terms, caTrouble: trouble }),
  );
  // While the lock is held: who waits for it must find a failure on record, or it tries at once what must wait.
  // But a placeholder that could not be made must not keep the order waiting that makes it unnecessary.
  const goOn = new Set(last ? [] : pending.filter((one) => one.attend).map(({ spec }) => spec.name));
  const bridged = results.filter(({ outcome, spec }) => outcome === 'failed' && goOn.has(spec.name));
  settleAll(
    service,
    results.filter((result) => !bridged.includes(result)),
    terms.now,
  );
  const warnings = [...(trouble === undefined ? [] : [trouble]), ...bridged.map(({ error }) => error)].map(describeError);
  return { results, warnings: [...new Set([...warnings, ...warningsOf(results)])] };
}

function warningsOf(results: readonly Result[]): string[] {
  return results.flatMap(({ warnings }) => warnings);
}
