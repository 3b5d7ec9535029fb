import type { IncomingHttpHeaders } from 'node:http';

import { messageOf, systemCode } from '../platform/errors.ts';
import { plainText } from './plain-text.ts';
import { AcmeTransportError, type TransportFault } from './problem.ts';

/** One HTTP request. */
export interface Exchange {
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** https */
  readonly url: string;
  readonly accept: string;
  /** A JWS (RFC 8555 §6.2). */
  readonly body?: string;
  /** The longest body that is taken, bytes. */
  readonly limit: number;
}

/** What came back, whatever its status, with its whole body. */
export interface Answer {
  readonly exchange: Exchange;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Undefined where it was longer than the limit and the status says that it is an error anyway. */
  readonly body: Buffer | undefined;
  /** Whether the same bytes were sent twice because a kept connection had gone. */
  readonly resent: boolean;
}

/** How far an exchange came. */
export interface Progress {
  /** Whether the connection had carried a request before. */
  reused: boolean;
  connected: boolean;
  secure: boolean;
  answered: boolean;
}

/** `POST https://host/path`, without what a query may give away. */
export function requestName({ method, url }: Pick<Exchange, 'method' | 'url'>): string {
  const end = url.search(/[?#]/);
  return `${method} ${end === -1 ? url : `${url.slice(0, end)}?…`}`;
}

/** A failure of this exchange, in one line. */
export function failed(
  exchange: Pick<Exchange, 'method' | 'url'>,
  fault: TransportFault,
  why: string,
  cause?: unknown,
): AcmeTransportError {
  const request = requestName(exchange);
  return new AcmeTransportError(fault, request, `${request}: ${plainText(why)}`, cause);
}

/** What an error of a socket or of the HTTP parser means, by how far the exchange had come. */
export function faultOf(exchange: Exchange, error: unknown, progress: Progress): AcmeTransportError {
  const code = systemCode(error) ?? '';
  const host = URL.parse(exchange.url)?.host ?? '';
  if (code === 'HPE_HEADER_OVERFLOW') return failed(exchange, 'too-large', 'the headers of the answer are longer than 16 KiB', error);
  if (code.startsWith('HPE_')) return failed(exchange, 'malformed', `the answer is not HTTP/1.1 (${messageOf(error)})`, error);
  if (progress.answered) return failed(exchange, 'cut', 'the connection ended within the answer', error);
  if (isLookup(error)) return failed(exchange, 'dns', `the name ${host} has no address (${code})`, error);
  if (!progress.secure && /wrong version number|packet length too long/.test(messageOf(error))) {
    return failed(exchange, 'malformed', `${host} does not speak HTTPS: what answers there is no TLS`, error);
  }
  if (code.startsWith('ERR_SSL') || (progress.connected && !progress.secure)) {
    return failed(exchange, 'tls', `no trusted TLS connection to ${host} (${reasonOf(error)})`, error);
  }
  const why = progress.secure ? 'the connection ended before the answer' : `no connection to ${host}`;
  return failed(exchange, 'connect', `${why} (${reasonOf(error)})`, error);
}

function isLookup(error: unknown): boolean {
  return error instanceof Error && /^(getaddrinfo|query)/.test(String((error as NodeJS.ErrnoException).syscall));
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map(messageOf))].join(', ');
  return messageOf(error);
}
