import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import { createSecureContext } from 'node:tls';

import { MINUTE } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import { failed, faultOf, type Answer, type Exchange, type Progress } from './exchange.ts';
import { isHttps } from './fields.ts';

/** HTTP/1.1 over TLS with kept connections; it knows nothing of ACME. Disposing of it closes them. */
export interface Transport extends AsyncDisposable {
  /**
   * Follows no redirect. A request that a kept connection swallowed (it ended before any byte of an answer) is sent
   * once more, byte for byte, on a new one: see `Answer.resent`.
   * @throws AcmeTransportError; the signal's reason
   */
  send(exchange: Exchange, signal: AbortSignal): Promise<Answer>;
}

export interface TransportOptions {
  /** PEM of roots to trust instead of Node's. */
  readonly ca: string | undefined;
  readonly userAgent: string;
}

const MOST_CONNECTIONS = 32;
/** Shorter than firewalls and servers forget, so that few requests meet a connection that is gone. */
const IDLE = MINUTE;

export function openTransport({ ca, userAgent }: TransportOptions): Transport {
  let agent: Agent | undefined;
  let closed = false;
  // A request that waited for a free connection does not know from Node that it was used before.
  const used = new WeakSet<Socket>();

  const attempt = (exchange: Exchange, connections: Agent, signal: AbortSignal): Promise<Answer | 'swallowed'> => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer | 'swallowed'>();
    const progress: Progress = { reused: false, connected: false, secure: false, answered: false };
    const { method, url, body } = exchange;
    const sending = request(url, { method, agent: connections, headers: headersOf(exchange, userAgent) });
    const onAbort = (): void => {
      reject(signal.reason);
      sending.destroy();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    sending.once('socket', (socket) => {
      progress.reused = used.has(socket);
      used.add(socket);
      follow(socket, progress);
    });
    sending.once('response', (response) => {
      // Node takes an answer to HEAD without Content-Length for one that lasts until the connection ends.
      if (method === 'HEAD' && keepsConnection(response)) sending.shouldKeepAlive = true;
      receive(exchange, response, progress).then(resolve, reject);
    });
    sending.on('error', (error) => {
      if (progress.reused && !progress.answered && !closed) return resolve('swallowed');
      reject(faultOf(exchange, error, progress));
    });
    sending.end(body);
    return promise.finally(() => signal.removeEventListener('abort', onAbort));
  };

  return {
    async send(exchange, signal) {
      signal.throwIfAborted();
      if (!isHttps(exchange.url)) throw failed(exchange, 'malformed', 'this is no https URL');
      if (closed) throw failed(exchange, 'connect', 'this client was closed');
      agent ??= connectionsTo(exchange, ca);
      const first = await attempt(exchange, agent, signal);
      if (first !== 'swallowed') return first;
      // The others that were idle are as likely gone.
      for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
      const second = await attempt(exchange, agent, signal);
      if (second === 'swallowed') throw failed(exchange, 'connect', 'the connection ended before the answer, twice');
      return { ...second, resent: true };
    },
    [Symbol.asyncDispose]: () => {
      closed = true;
      agent?.destroy();
      return Promise.resolve();
    },
  };
}

function connectionsTo(exchange: Exchange, ca: string | undefined): Agent {
  const kept = { keepAlive: true, maxSockets: MOST_CONNECTIONS, maxFreeSockets: MOST_CONNECTIONS, timeout: IDLE, noDelay: true };
  try {
    return new Agent(ca === undefined ? kept : { ...kept, secureContext: createSecureContext({ ca }) });
  } catch (error) {
    throw failed(exchange, 'tls', `the roots to trust cannot be read (${messageOf(error)})`, error);
  }
}

/** RFC 8555 §6.1: User-Agent and Accept-Language. */
function headersOf({ accept, body }: Exchange, userAgent: string): Record<string, string | number> {
  const headers = { 'user-agent': userAgent, accept, 'accept-language': 'en' };
  return body === undefined ? headers : { ...headers, 'content-type': 'application/jose+json', 'content-length': Buffer.byteLength(body) };
}

function follow(socket: Socket, progress: Progress): void {
  if (progress.reused) {
    progress.connected = true;
    progress.secure = true;
  } else {
    socket.once('connect', () => (progress.connected = true));
    socket.once('secureConnect', () => (progress.secure = true));
  }
  socket.once('data', () => (progress.answered = true));
}

/** RFC 9112 §9.3. */
function keepsConnection({ httpVersion, headers }: IncomingMessage): boolean {
  return httpVersion === '1.1' && !/\bclose\b/i.test(headers.connection ?? '');
}

/** Reads the body to its end, or to the limit. The request's signal ends it by ending the connection. */
function receive(exchange: Exchange, response: IncomingMessage, progress: Progress): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const status = response.statusCode ?? 0;
  const answered = (body: Buffer | undefined): void => resolve({ exchange, status, headers: response.headers, body, resent: false });
  const chunks: Buffer[] = [];
  let length = 0;
  response.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length <= exchange.limit) return;
    response.destroy();
    if (status >= 400) return answered(undefined);
    reject(failed(exchange, 'too-large', `the answer is longer than ${exchange.limit / 1024} KiB`));
  });
  response.once('end', () => answered(Buffer.concat(chunks)));
  response.on('error', (error) => reject(faultOf(exchange, error, progress)));
  return promise;
}
