import { eachLimited } from '../../platform/concurrency.ts';
import { lockPublication } from '../../publication/lock.ts';
import { currentLink } from '../../publication/read.ts';
import { act } from './act.ts';
import { settleClock } from './clock.ts';
import { look, type Look, type Terms } from './look.ts';
import { stillHolds } from './outlook.ts';
import { publishCurrentRoots } from './roots.ts';
import type { Result } from './result.ts';
import type { CertificateService } from './service.ts';
import { settle } from './settle.ts';

export interface PassOptions {
  /** Only these certificates; all when left out. */
  readonly names?: ReadonlySet<string>;
  /** Renew whatever the time and the back-off say. */
  readonly force?: boolean;
  /** Read every certificate, also those that the ledger says need no look. */
  readonly readAll?: boolean;
  /** Decide and report, change nothing. */
  readonly dryRun?: boolean;
}

export interface PassReport {
  /** One per certificate that was looked at. */
  readonly results: readonly Result[];
  /** How many needed no look. */
  readonly skipped: number;
  readonly warnings: readonly string[];
}

/** Enough to keep the disk busy with syncs and one core with signing; more gains nothing. */
const AT_ONCE = 16;
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
  const wanted = config.certificates.filter(({ name }) => options.names?.has(name) ?? true);
  const due = wanted.filter((spec) => {
    if (terms.force || options.readAll || verdict !== 'right') return true;
    return !stillHolds(ledger.outlook(spec.name), spec, currentLink(paths.certificates, spec.name), now);
  });
  const looks = await eachLimited(due, AT_ONCE, (spec) => look(service, spec, terms));
  const skipped = wanted.length - due.length;
  if (options.dryRun)
    return { results: looks.map((one) => ({ ...one.result, outcome: one.act ? 'planned' : one.result.outcome })), skipped, warnings: [] };

  const pending = looks.filter((one) => one.act);
  const acted = pending.length === 0 ? { results: [], warnings: [] } : await actUnderLock(service, pending, terms);
  const results = [...looks.filter((one) => !one.act).map((one) => one.result), ...acted.results];
  ledger.together(() => {
    for (const result of results) settle(service, result, now);
    if (options.names === undefined) ledger.retainOnly(new Set(config.certificates.map(({ name }) => name)));
  });
  return { results, skipped, warnings: acted.warnings };
}

async function actUnderLock(
  service: CertificateService,
  pending: readonly Look[],
  terms: Terms,
): Promise<{ results: Result[]; warnings: string[] }> {
  await using lock = await lockPublication(service.paths.certificates, {
    publisher: service.publisher,
    waitMs: WAIT_FOR_LOCK_MS,
    signal: service.signal,
  });
  const { warnings } = await publishCurrentRoots(service, lock, terms.now);
  const results = await eachLimited(pending, AT_ONCE, async (one) =>
    service.signal.aborted ? interrupted(one) : act(service, lock, one.spec, terms),
  );
  return { results, warnings: [...new Set([...warnings, ...results.flatMap((result) => result.warnings)])] };
}

/** Told to stop before its turn came: the next start takes it up at once. */
function interrupted({ result }: Look): Result {
  return { ...result, outcome: 'waiting', decision: { ...result.decision, action: 'wait' } };
}
