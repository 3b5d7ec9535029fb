import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Log } from '../platform/log.ts';
import { listenFailure, type Place } from '../platform/ports.ts';
import { version } from '../platform/version.ts';
import type { Metric } from './metric.ts';

/** What a service tells about itself. Asked anew for each request; no secrets, nothing that changes anything. */
export interface StatusSource {
  /** As in `podserve <name>`. */
  readonly service: string;
  readiness(): { readonly ready: boolean; readonly reasons: readonly string[] };
  /** Further fields of /status, JSON. */
  details(): Readonly<Record<string, unknown>> | Promise<Readonly<Record<string, unknown>>>;
  metrics(): readonly Metric[];
}

export interface StatusServer extends AsyncDisposable {
  /** `http://127.0.0.1:9082` */
  readonly url: string;
}

/**
 * Serves /healthz (alive), /readyz (does its job; 503 with the reasons otherwise), /status (JSON) and
 * /metrics (Prometheus) in plain HTTP on the address that the configuration gives (DESIGN §3).
 * @throws PodserveError PORT_TAKEN, PORT_DENIED
 */
export async function serveStatus(place: Place, source: StatusSource, log: Log): Promise<StatusServer> {
  const server = createServer((request, response) => {
    answer(request, response, source).catch((error: unknown) => {
      log.error({ error: String(error), path: request.url }, 'status request failed');
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  server.keepAliveTimeout = 2000;
  const listening = Promise.withResolvers<void>();
  server.once('error', (cause) => listening.reject(listenFailure(place, cause)));
  server.listen({ host: place.host, port: place.port }, listening.resolve);
  await listening.promise;
  const { address: bound, port: boundPort, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${bound}]` : bound}:${boundPort}`,
    async [Symbol.asyncDispose]() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeAllConnections();
      await promise;
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, source: StatusSource): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return;
  }
  switch (request.url?.split('?')[0] ?? '') {
    case '/healthz':
      return json(response, 200, { alive: true });
    case '/readyz': {
      const readiness = source.readiness();
      return json(response, readiness.ready ? 200 : 503, readiness);
    }
    case '/status': {
      const { ready, reasons } = source.readiness();
      return json(response, 200, {
        service: source.service,
        version: version(),
        pid: process.pid,
        ready,
        reasons,
        ...(await source.details()),
      });
    }
    case '/metrics': {
      const { prometheusText } = await import('./status-metrics.ts');
      const { contentType, text } = await prometheusText(source.service, source.readiness().ready, source.metrics());
      response.writeHead(200, { 'content-type': contentType }).end(text);
      return;
    }
    default:
      return json(response, 404, { paths: ['/healthz', '/readyz', '/status', '/metrics'] });
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(`${JSON.stringify(body)}\n`);
}
