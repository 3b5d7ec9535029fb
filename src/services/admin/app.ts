import { randomBytes } from 'node:crypto';

import type { HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import { streamSSE } from 'hono/streaming';

import type { Identifier } from '../../certificate/identifier.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ServiceStatus } from '../certificates/status.ts';
import { openFeed, type Feed } from './feed.ts';
import { isOurHost } from './hosts.ts';
import { MARK, body, page, type About } from './page.ts';

/** What the page shows, asked anew for each request. */
export interface PageSource {
  /** Of at most `limit` certificates. */
  status(limit: number): Promise<ServiceStatus>;
  /** `ca.pem`, or undefined while there is none. */
  roots(): Promise<string | undefined>;
  about(): About;
  /** The names and addresses that the page may be asked for by, besides those of loopback. */
  hosts(): readonly Identifier[];
}

export interface StatusPage {
  readonly app: Hono<Bindings>;
  readonly feed: Feed;
}

interface Bindings {
  Bindings: HttpBindings;
}

const LONGEST_LIST = 200;
/** A browser holds one stream for each tab. */
const MOST_STREAMS = 64;
const PING_EVERY_MS = 20_000;

/**
 * The status page: GET and HEAD only, nothing secret, nothing that changes anything. No HSTS: it would bind every
 * other server on `localhost`.
 */
export function statusPage(source: PageSource, clock: Clock, signal: AbortSignal): StatusPage {
  const app = new Hono<Bindings>();
  const feed = openFeed(async () => String(await body(await source.status(LONGEST_LIST), source.about())), clock, signal);
  let streams = 0;

  app.use(async (c, next) => {
    if (!isOurHost(c.req.header('host'), source.hosts(), c.env.incoming.socket.localAddress)) {
      c.res = c.text('This server is not known under that name. Names of its certificate are, and localhost.\n', 421);
    } else if (c.req.method !== 'GET' && c.req.method !== 'HEAD') {
      c.res = c.text('This page shows and changes nothing.\n', 405, { allow: 'GET, HEAD' });
    } else {
      await next();
    }
    secure(c);
  });
  app.get('/', async (c) => {
    const nonce = randomBytes(16).toString('base64');
    c.header('content-security-policy', policy(nonce));
    return c.html(page(await source.status(LONGEST_LIST), source.about(), nonce));
  });
  app.get('/status.json', async (c) => c.json(await source.status(Infinity)));
  app.get('/favicon.svg', (c) => c.body(MARK, 200, { 'content-type': 'image/svg+xml' }));
  app.get('/ca.pem', async (c) => {
    const pem = await source.roots();
    if (pem === undefined) return c.text('There is no built-in CA here.\n', 404);
    return c.body(pem, 200, { 'content-type': 'application/x-pem-file', 'content-disposition': 'attachment; filename="podserve-ca.pem"' });
  });
  app.get('/events', (c) => {
    if (c.req.method === 'HEAD') return c.body(null, 200, { 'content-type': 'text/event-stream' });
    if (streams >= MOST_STREAMS) return c.text('Too many pages are open.\n', 503, { 'retry-after': '30' });
    streams += 1;
    return streamSSE(c, async (stream) => {
      const gone = new AbortController();
      const stop = feed.listen((data) => void stream.writeSSE({ event: 'state', data }));
      stream.onAbort(() => gone.abort());
      try {
        const until = AbortSignal.any([signal, gone.signal]);
        while (!until.aborted) {
          await stream.write(': still here\n\n');
          await clock.sleep(PING_EVERY_MS, until);
        }
      } finally {
        stop();
        streams -= 1;
      }
    });
  });
  app.notFound((c) => c.text('Nothing is here. The page is at /\n', 404));
  app.onError((_error, c) => c.text('The state cannot be read just now; podserve status says why.\n', 500));
  return { app, feed };
}

function policy(nonce: string): string {
  return [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    `script-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

function secure(c: Context<Bindings>): void {
  const { headers } = c.res;
  if (!headers.has('content-security-policy')) headers.set('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
  headers.set('x-content-type-options', 'nosniff');
  headers.set('x-frame-options', 'DENY');
  headers.set('referrer-policy', 'no-referrer');
  headers.set('cross-origin-opener-policy', 'same-origin');
  headers.set('cross-origin-resource-policy', 'same-origin');
  headers.set('permissions-policy', 'camera=(), geolocation=(), microphone=()');
  headers.set('cache-control', 'no-store');
}
