import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';

import { startPebble, type PebbleOptions } from '../support/daemons/pebble.ts';
import { freePort } from '../support/scratch.ts';

/** Pebble, and the web server that it finds the answers of http-01 on. */
export interface AcmeServer extends AsyncDisposable {
  /** Directory URL. */
  readonly directory: string;
  /** The root of its HTTPS, to be trusted. */
  readonly caFile: string;
  /** Where clients put `.well-known/acme-challenge/TOKEN`. */
  readonly webroot: string;
  /** How many requests it has taken so far, by its own log. */
  requests(): Promise<Requests>;
}

export interface Requests {
  readonly orders: number;
  /** RFC 9773: of clients that ask when to renew. */
  readonly advice: number;
}

const CHALLENGES = '.well-known/acme-challenge';
/** Its log comes through a pipe. */
const LOG_MS = 100;

/** One that makes everybody do the same work: nothing is refused by chance, and nothing known from before. */
export async function startAcmeServer(webroot: string, options: PebbleOptions = {}): Promise<AcmeServer> {
  await using starting = new AsyncDisposableStack();
  const t = { after: (work: unknown): void => starting.defer(work as () => void) };
  const httpPort = await freePort();
  mkdirSync(join(webroot, CHALLENGES), { recursive: true });
  const server = createServer((request, response) => {
    const answer = tokenFile(webroot, request.url ?? '');
    response.writeHead(answer === undefined ? 404 : 200, { connection: 'close' }).end(answer);
  });
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  server.listen(httpPort, '127.0.0.1', resolve);
  await listening;
  starting.defer(() => void server.close());
  const profiles = { default: { validitySeconds: 90 * 86_400 } };
  const pebble = await startPebble(t, { httpPort, nonceReject: 0, authzReuse: 0, profiles, ...options });
  const running = starting.move();
  return {
    directory: pebble.directory,
    caFile: pebble.caFile,
    webroot,
    async requests() {
      const { promise, resolve: rest } = Promise.withResolvers<void>();
      setTimeout(rest, LOG_MS);
      await promise;
      const all = pebble.log().match(/ \S+ -> calling handler\(\)/g) ?? [];
      const advice = all.filter((one) => one.includes('/renewalInfo')).length;
      return { orders: all.length - advice, advice };
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function tokenFile(webroot: string, url: string): Buffer | undefined {
  try {
    return readFileSync(join(webroot, CHALLENGES, basename(url)));
  } catch {
    return undefined;
  }
}
