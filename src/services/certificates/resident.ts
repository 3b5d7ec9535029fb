import type { Config } from '../../config/config.ts';
import type { StatePaths } from '../../config/state.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import { eventHook } from '../event-hook.ts';
import { placeOf } from '../place.ts';
import { serveStatus } from '../status.ts';
import { runCron, type CronState } from './cron.ts';
import { openCertificateService, publisherOf } from './open.ts';
import type { PassReport } from './pass.ts';
import { certificatesStatusPort } from './status-port.ts';

export interface ResidentOptions {
  /** As typed after `podserve`; names the publisher. */
  readonly command: string;
  readonly config: Config;
  readonly paths: StatePaths;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
  /** Reads the configuration again. */
  load(): Promise<Config>;
  /** Hands over what asks for a reload. Returns how to stop asking. */
  onReload(ask: () => void): () => void;
  readonly onPass?: (report: PassReport) => void;
  readonly onReloaded?: (config: Config) => void;
}

/** The certificate service as it stays in memory, with its status port. */
export interface Resident extends AsyncDisposable {
  /** The service as it is now: a reload exchanges it. */
  readonly state: CronState;
  /** Settles after the first pass. Rejects when that could do nothing at all; the service tries again all the same. */
  readonly first: Promise<void>;
  /** URL of the status port. */
  readonly statusUrl: string;
}

/**
 * Starts the certificate service with everything around it: event hook, status port, reload. Ends when disposed.
 * @throws PodserveError PORT_TAKEN, PORT_DENIED, PUBLICATION_NEWER
 */
export async function startResident(options: ResidentOptions): Promise<Resident> {
  const { config, clock, log } = options;
  const lifetime = new AbortController();
  await using starting = new AsyncDisposableStack();
  let hook = starting.use(eventHook(config.onEvent, log, { env: options.env, signal: lifetime.signal }));
  const opened = starting.use(
    await openCertificateService({
      config,
      paths: options.paths,
      clock,
      log,
      signal: lifetime.signal,
      publisher: publisherOf(options.command, options.env),
      notify: (notice) => hook.notify(notice),
    }),
  );
  for (const warning of opened.warnings) log.warn({}, warning);
  let hasLooked = false;
  const state: CronState = { trouble: undefined, service: opened.service };
  const place = placeOf(config.certificateService.status, 'certificateService.status');
  const port = starting.use(
    await serveStatus(
      place,
      certificatesStatusPort(state, () => hasLooked),
      log,
    ),
  );

  const first = Promise.withResolvers<void>();
  void first.promise.finally(() => (hasLooked = true)).catch(() => undefined);
  const cron = runCron(state, {
    onPass(report) {
      options.onPass?.(report);
      first.resolve();
    },
    onTrouble: (error) => first.reject(error),
    onReload: (ask) => options.onReload(ask),
    async reload() {
      const next = await options.load();
      for (const warning of next.warnings) log.warn({}, warning);
      if (next.onEvent?.exec !== hookOf(state))
        hook = resources.use(eventHook(next.onEvent, log, { env: options.env, signal: lifetime.signal }));
      options.onReloaded?.(next);
      return next;
    },
  });
  const resources = starting.move();
  return {
    state,
    first: first.promise,
    statusUrl: port.url,
    async [Symbol.asyncDispose]() {
      lifetime.abort();
      await cron;
      await resources.disposeAsync();
    },
  };
}

function hookOf({ service }: CronState): string | undefined {
  return service.config.onEvent?.exec;
}
