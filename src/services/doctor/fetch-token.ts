import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';

import { messageOf, systemCode } from '../../platform/errors.ts';
import type { Connection } from './connection.ts';

/** What a CA would meet at one address of a name (RFC 8555 §8.3). */
export type Fetched =
  | {
      readonly state: 'answered';
      readonly status: number;
      /** Its beginning. */
      readonly body: string;
      readonly server: string | undefined;
      /** Where redirects led, in order; empty without any. */
      readonly redirects: readonly string[];
    }
  | {
      readonly state: 'failed';
      readonly fault: Fault;
      readonly why: string;
      readonly redirects: readonly string[];
    };

export type Fault = ConnectionFault | 'redirects' | 'bad-redirect' | 'malformed';
export type ConnectionFault = 'refused' | 'timeout' | 'unreachable' | 'no-family' | 'cut';

export interface FetchOptions extends Connection {
  /** A DNS name, or an address. */
  readonly name: string;
  readonly path: string;
  /** What port 80 and port 443 stand for: others in tests alone. */
  readonly ports: { readonly http: number; readonly https: number };
  /** Addresses of a host that a redirect leads to. */
  readonly resolve: (host: string, signal: AbortSignal) => Promise<readonly string[]>;
}

const MOST_REDIRECTS = 10;
const LARGEST_BODY = 16 * 1024;

/** Fetches over one address, and follows redirects as CAs do: ten, to http and https on their own ports, whatever certificate is shown. */
export async function fetchToken(options: FetchOptions): Promise<Fetched> {
  const host = isIP(options.name) === 6 ? `[${options.name}]` : options.name;
  let url = new URL(`http://${host}${options.path}`);
  let address = options.address;
  const redirects: string[] = [];
  const failed = (fault: Fault, why: string): Fetched => ({ state: 'failed', fault, why, redirects: [...redirects] });
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
  try {
    for (;;) {
      const { status, headers, body } = await get(url, address, options.ports, signal);
      const location = headers.location;
      if (![301, 302, 303, 307, 308].includes(status) || location === undefined) {
        return { state: 'answered', status, body, server: headers['server']?.toString(), redirects };
      }
      if (!URL.canParse(location, url))
        return failed('bad-redirect', `it redirects to ${JSON.stringify(location.slice(0, 200))}, which is no URL`);
      const next = new URL(location, url);
      redirects.push(next.href);
      const objection = refused(next, options.ports);
      if (objection !== undefined) return failed('bad-redirect', objection);
      if (redirects.length > MOST_REDIRECTS) return failed('redirects', `it redirects more than ${MOST_REDIRECTS} times`);
      if (next.hostname !== url.hostname) {
        const found = await addressesOf(next.hostname, options, signal);
        if (found[0] === undefined) return failed('bad-redirect', `it redirects to ${next.hostname}, which has no address`);
        address = found[0];
      }
      url = next;
    }
  } catch (error) {
    options.signal.throwIfAborted();
    const { fault, why } = faultOf(error, signal);
    return failed(fault, why);
  }
}

async function addressesOf(hostname: string, { resolve }: FetchOptions, signal: AbortSignal): Promise<readonly string[]> {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return isIP(bare) === 0 ? resolve(bare, signal) : [bare];
}

function refused(url: URL, ports: FetchOptions['ports']): string | undefined {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return `it redirects to ${url.protocol}, and CAs follow only http and https`;
  const allowed = ['', String(ports.http), String(ports.https)];
  return allowed.includes(url.port) ? undefined : `it redirects to port ${url.port}, and CAs follow only to 80 and 443`;
}

interface Got {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function get(url: URL, address: string, ports: FetchOptions['ports'], signal: AbortSignal): Promise<Got> {
  const secure = url.protocol === 'https:';
  const bare = url.hostname.replace(/^\[|\]$/g, '');
  const options: RequestOptions & { rejectUnauthorized: boolean; servername?: string } = {
    host: address,
    port: url.port === '' ? (secure ? ports.https : ports.http) : url.port,
    path: url.pathname + url.search,
    headers: { host: url.host, 'user-agent': 'podserve-doctor', accept: '*/*' },
    agent: false,
    signal,
    // RFC 8555 §8.3: the certificate that http-01 is to mend must not stand in its way.
    rejectUnauthorized: false,
    ...(isIP(bare) === 0 ? { servername: bare } : {}),
  };
  const { promise, resolve, reject } = Promise.withResolvers<Got>();
  const asking = (secure ? requestHttps : requestHttp)(options, (response) => {
    const parts: Buffer[] = [];
    let length = 0;
    const done = (): void => {
      const body = Buffer.concat(parts).toString('utf8', 0, LARGEST_BODY);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
    };
    response.on('data', (data: Buffer) => {
      parts.push(data);
      length += data.length;
      if (length <= LARGEST_BODY) return;
      done();
      response.destroy();
    });
    response.once('end', done);
    response.once('error', reject);
  });
  asking.once('error', reject);
  asking.end();
  return promise;
}

/** Why there was no answer. */
export function faultOf(error: unknown, signal: AbortSignal): { fault: ConnectionFault | 'malformed'; why: string } {
  if (signal.aborted) return { fault: 'timeout', why: 'no answer within the time' };
  const code = systemCode(error) ?? '';
  switch (code) {
    case 'ECONNREFUSED':
      return { fault: 'refused', why: 'the connection is refused' };
    case 'ETIMEDOUT':
      return { fault: 'timeout', why: 'no answer within the time' };
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return { fault: 'no-family', why: `this host has no way there (${code})` };
    case 'EHOSTUNREACH':
    case 'EACCES':
    case 'EPERM':
      return { fault: 'unreachable', why: `the address cannot be reached (${code})` };
    case 'ECONNRESET':
    case 'EPIPE':
      return { fault: 'cut', why: 'the connection was cut before an answer' };
    default:
      return { fault: 'malformed', why: `what answers does not speak HTTP (${code === '' ? messageOf(error) : code})` };
  }
}
