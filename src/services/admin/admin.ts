import { readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

import { parseIdentifier, type Identifier } from '../../certificate/identifier.ts';
import type { Config } from '../../config/config.ts';
import { formatListen, reachableHost } from '../../config/listen.ts';
import type { StatePaths } from '../../config/state.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';
import type { Place } from '../../platform/ports.ts';
import type { ServiceStatus } from '../certificates/status.ts';
import { startConsumer } from '../consumer.ts';
import { openHold } from '../consumer/hold.ts';
import { consumerStatus } from '../consumer/status.ts';
import { placeOf } from '../place.ts';
import { claimRuntimeDirectory } from '../runtime-directory.ts';
import { serveStatus } from '../status.ts';
import type { PageSource } from './app.ts';
import { adminService } from './consumer.ts';
import type { Feed } from './feed.ts';
import { listenSecurely, type Handler } from './listener.ts';
import type { About } from './page.ts';

export interface AdminOptions {
  /** The configuration as it is now. */
  config(): Config;
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly log: Log;
  /** For the checked copy of the certificate, in order of preference. */
  readonly runtimeDirectories: readonly string[];
  /** How the certificates stand, at most `limit` of them. */
  status(limit: number): Promise<ServiceStatus>;
  readonly about: About;
}

/** The HTTPS status page while it runs. */
export interface Admin extends AsyncDisposable {
  /** `https://localhost:8443` */
  readonly url: string;
  /** URL of the plain status port. */
  readonly statusUrl: string;
  /** What keeps the page from serving the published certificate; undefined when it was seen served. */
  hinder(): string | undefined;
  /** Something that the page shows may have changed. */
  changed(): void;
  /** The configuration changed, or the publication began to exist. */
  reconfigured(): void;
}

/**
 * Serves the status page with the published certificate, and takes each new one as every consumer does: checked,
 * copied, seen on its own port, the former one put back where that fails.
 * @throws PodserveError PORT_TAKEN, PORT_DENIED before anything else is done
 */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { paths, clock, log } = options;
  const lifetime = new AbortController();
  const place = placeOf(options.config().admin.listen, 'admin.listen');
  const statusPlace = placeOf(options.config().admin.status, 'admin.status');
  await using starting = new AsyncDisposableStack();
  const page = openPage(
    {
      status: (limit) => options.status(limit),
      roots: () => rootsPem(paths),
      about: () => options.about,
      hosts: () => hostsOf(options.config(), place),
    },
    clock,
    lifetime.signal,
  );
  const listener = starting.use(await listenSecurely(place, page.handler));
  const runtime = await claimRuntimeDirectory(options.runtimeDirectories, []);
  starting.defer(() => rmdir(runtime.path).catch(() => undefined));
  starting.use(runtime);
  const consumer = starting.use(
    startConsumer({
      service: adminService(() => options.config(), listener, place.port),
      root: paths.certificates,
      hold: openHold(runtime.path),
      clock,
      log: log.child({ consumer: 'admin' }),
    }),
  );
  const status = starting.use(await serveStatus(statusPlace, consumerStatus('admin', consumer), log));
  await consumer.started;
  const resources = starting.move();
  return {
    url: urlOf(options.config(), place),
    statusUrl: status.url,
    hinder: () => consumer.report().reasons[0],
    changed: page.changed,
    reconfigured: () => consumer.reconfigured(),
    async [Symbol.asyncDispose]() {
      lifetime.abort();
      await resources.disposeAsync();
    },
  };
}

/** The web framework is loaded when somebody looks: nobody may, for months. */
function openPage(source: PageSource, clock: Clock, signal: AbortSignal): { readonly handler: Handler; readonly changed: () => void } {
  let opened: Promise<Handler> | undefined;
  let feed: Feed | undefined;
  const open = async (): Promise<Handler> => {
    const [{ getRequestListener }, { statusPage }] = await Promise.all([import('@hono/node-server'), import('./app.ts')]);
    const opening = statusPage(source, clock, signal);
    feed = opening.feed;
    return getRequestListener(opening.app.fetch, { overrideGlobalObjects: false });
  };
  return {
    async handler(request, response) {
      opened ??= open();
      await (
        await opened
      )(request, response);
    },
    changed: () => feed?.poke(),
  };
}

async function rootsPem({ certificates }: StatePaths): Promise<string | undefined> {
  try {
    return await readFile(join(certificates, 'ca.pem'), 'utf8');
  } catch {
    return undefined;
  }
}

function hostsOf({ admin, certificates, domain }: Config, place: Place): Identifier[] {
  const own = certificates.find(({ name }) => name === admin.certificate)?.identifiers ?? [];
  return [...own, parseIdentifier(domain), parseIdentifier(reachableHost(place.host))];
}

/** A name that the certificate speaks for, where the page listens on every address. */
function urlOf({ admin, certificates }: Config, place: Place): string {
  const own = certificates.find(({ name }) => name === admin.certificate)?.identifiers ?? [];
  const named = own.find(({ type, value }) => type === 'dns' && !value.startsWith('*.'))?.value;
  const everywhere = reachableHost(place.host) !== place.host;
  const host = everywhere ? (named ?? 'localhost') : place.host;
  return `https://${formatListen({ host, port: place.port })}`.replace(/:443$/, '');
}
