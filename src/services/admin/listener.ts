import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { SecureContextOptions } from 'node:tls';

import { listenFailure, type Place } from '../../platform/ports.ts';
import { systemCode } from '../../platform/errors.ts';

export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** An HTTPS server on one port of one or several addresses, whose certificate can be exchanged while it runs. */
export interface SecureListener extends AsyncDisposable {
  /** The addresses that it listens on. */
  readonly addresses: readonly string[];
  /** New handshakes use it, connections go on. @throws OpenSSL's error; the former one then stays in use */
  setSecureContext(options: SecureContextOptions): void;
}

/** The empty list keeps Node from parsing its own roots into memory: no client shows a certificate here. */
const TLS: SecureContextOptions = { minVersion: 'TLSv1.2', ca: [] };

/** Enough for every browser tab of a household, and little enough for a laptop. */
const MOST_CONNECTIONS = 512;
/** How long answers under way may take when it ends, ms. */
const LAST_ANSWERS = 200;

/**
 * Listens before there is any certificate, so that a taken port is known at once. `localhost` stands for both
 * loopback addresses, of which one may be missing.
 * @throws PodserveError PORT_TAKEN, PORT_DENIED
 */
export async function listenSecurely(place: Place, handler: Handler): Promise<SecureListener> {
  const hosts = place.host === 'localhost' ? ['127.0.0.1', '::1'] : [place.host];
  const servers: Server[] = [];
  const addresses: string[] = [];
  const dispose = async (): Promise<void> => void (await Promise.all(servers.map(close)));
  for (const host of hosts) {
    const server = createServer(
      { minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] },
      (request, response) => void handler(request, response),
    );
    server.maxConnections = MOST_CONNECTIONS;
    // A client that speaks no TLS or gives up is none of our trouble.
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    try {
      await listen(server, host, place.port);
      servers.push(server);
      addresses.push(host);
    } catch (cause) {
      if (addresses.length > 0 && ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(systemCode(cause) ?? '')) continue;
      await dispose();
      throw listenFailure({ ...place, host }, cause);
    }
  }
  return {
    addresses,
    setSecureContext(options) {
      for (const server of servers) server.setSecureContext({ ...TLS, ...options });
    },
    [Symbol.asyncDispose]: dispose,
  };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port }, resolve);
  await promise;
  server.off('error', reject);
}

async function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS);
  await promise;
  clearTimeout(timer);
}
