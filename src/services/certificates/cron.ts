import type { Config } from '../../config/config.ts';
import { DAY, MINUTE, SECOND } from '../../platform/clock.ts';
import { describeError } from '../../platform/errors.ts';
import { watchPublication } from '../../publication/watch.ts';
import { isDelivered, verifyDeliveries } from './deliveries.ts';
import { deliveryQueue } from './delivery-queue.ts';
import { heartbeat } from './heartbeat.ts';
import { configuredService } from './open.ts';
import { openOrders } from './orders.ts';
import { runPass, type PassOptions, type PassReport } from './pass.ts';
import type { Result } from './result.ts';
import type { CertificateService } from './service.ts';

export interface CronOptions {
  /** Called after every pass, the first included, with what it found. */
  readonly onPass?: (report: PassReport) => void;
  /** Called after every pass that could do nothing at all. */
  readonly onTrouble?: (error: unknown) => void;
  /** Reads the configuration again; asked for at each SIGHUP. */
  readonly reload?: () => Promise<Config>;
  /** Hands over the function that asks for a reload. */
  readonly onReload?: (ask: () => void) => () => void;
}

/** What the resident service reports of itself. */
export interface CronState {
  /** Why the last pass could do nothing at all, or undefined. */
  trouble: string | undefined;
  service: CertificateService;
}

/** A wall clock can be set while we sleep; no sleep is longer than this. */
const LONGEST_SLEEP = MINUTE;
const POLL_MS = 5000;
const RETRY_AFTER_TROUBLE = MINUTE;
/** On a boot the web server that answers challenges comes up beside us. */
const WEB_SERVER_STARTS = 30 * SECOND;

/**
 * The resident form: a full pass at the start and once a day, and each certificate at its own time in between;
 * also when another process published something, when published files were damaged, and at SIGHUP. Ends when the
 * signal aborts.
 */
export async function runCron(state: CronState, options: CronOptions = {}): Promise<void> {
  const { clock, signal, paths } = state.service;
  const pending = new Set<string>();
  /** Changes that a pass could not look at: for the next one, without waking anybody. */
  const missed = new Set<string>();
  let wake = new AbortController();
  let reloadAsked = false;
  const stopListening = options.onReload?.(() => {
    reloadAsked = true;
    wake.abort();
  });
  watchPublication(paths.certificates, {
    names: 'all',
    files: true,
    pollMs: POLL_MS,
    signal,
    onChange(name) {
      pending.add(name);
      wake.abort();
    },
    onTrouble: (line) => state.service.log.warn({}, line),
  });
  let last = clock.now();
  let nextFull = last;
  let next = nextFull;
  const deliveries = deliveryQueue((results) => deliver(state.service, results));
  const orders = openOrders({
    patience: WEB_SERVER_STARTS,
    settled(result) {
      const { service } = state;
      for (const warning of result.warnings) service.log.warn({}, warning);
      deliveries.add([result]);
      options.onPass?.({ results: [result], skipped: 0, warnings: result.warnings });
      // The configuration was read again meanwhile, and the pass after that left it alone.
      if (!service.config.certificates.includes(result.spec)) pending.add(result.spec.name);
      wake.abort();
    },
  });
  while (!signal.aborted) {
    const now = clock.now();
    if (reloadAsked) {
      reloadAsked = false;
      await reload(state, options);
      nextFull = now;
    }
    // A clock set back leaves every planned time in a far future: look at everything anew.
    if (now < last - MINUTE) nextFull = now;
    last = now;
    if (now >= nextFull || now >= next || pending.size > 0) {
      const full = now >= nextFull;
      // Whoever else published has told the ledger as well: only a look shows what it was.
      const changed = new Set([...missed, ...pending]);
      missed.clear();
      pending.clear();
      const names = full || now >= next ? {} : { names: changed };
      const reported = (result: Result): boolean =>
        result.outcome !== 'kept' || changed.has(result.spec.name) || isDelivered(state.service, result);
      const results = await attempt(state, { ...names, changed, readAll: full, reported, orders }, options);
      const asked = state.service;
      for (const result of results ?? []) if (changed.has(result.spec.name)) logForeign(asked, result);
      if (results === undefined) changed.forEach((name) => missed.add(name));
      else deliveries.add(results);
      if (full) {
        nextFull = now + DAY;
        heartbeat(asked.ledger, asked.config.certificates.length, now);
      }
    }
    const planned = state.service.ledger.nextLook() ?? nextFull;
    next = state.trouble === undefined ? Math.max(planned, now + 1000) : now + RETRY_AFTER_TROUBLE;
    wake = new AbortController();
    if (pending.size > 0 || reloadAsked) continue;
    await clock.sleep(Math.min(Math.min(next, nextFull) - clock.now(), LONGEST_SLEEP), AbortSignal.any([signal, wake.signal]));
  }
  stopListening?.();
  await orders.idle();
  await deliveries.idle();
}

/** Runs a pass; what hinders all of it becomes the trouble that `status` shows. @returns undefined then */
async function attempt(state: CronState, passOptions: PassOptions, options: CronOptions): Promise<readonly Result[] | undefined> {
  const { service } = state;
  try {
    const report = await runPass(service, passOptions);
    if (state.trouble !== undefined) service.log.info({}, 'the trouble is over');
    state.trouble = undefined;
    for (const warning of report.warnings) service.log.warn({}, warning);
    options.onPass?.(report);
    return report.results;
  } catch (error) {
    const line = describeError(error);
    if (state.trouble !== line && !service.signal.aborted) service.log.error({}, line);
    state.trouble = line;
    options.onTrouble?.(error);
    return undefined;
  }
}

/** What another process published is on record already; the log of this one says so too. */
function logForeign({ log, publisher }: CertificateService, { outcome, spec, manifest }: Result): void {
  if (outcome !== 'kept' || manifest === undefined || manifest.publishedBy.command === publisher.command) return;
  const fields = { certificate: spec.name, generation: manifest.generation };
  log.info(fields, `generation ${manifest.generation} of ${manifest.issuer} was published by podserve ${manifest.publishedBy.command}`);
}

/** In the background: a consumer that does not answer must not hold up a renewal. */
async function deliver(service: CertificateService, results: readonly Result[]): Promise<void> {
  try {
    await verifyDeliveries(service, results);
  } catch (error) {
    if (!service.signal.aborted) service.log.error({}, `the endpoints could not be asked: ${describeError(error)}`);
  }
}

async function reload(state: CronState, options: CronOptions): Promise<void> {
  const { service } = state;
  if (options.reload === undefined) return;
  try {
    const config = await options.reload();
    state.service = configuredService(service, config);
    service.log.info({ file: config.file, certificates: config.certificates.length }, 'configuration read again');
  } catch (error) {
    service.log.error({}, `the new configuration was refused, the old one stays: ${describeError(error)}`);
  }
}
