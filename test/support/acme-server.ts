import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';

import { listenUntilEnd } from './fault-server.ts';
import { opensslCa } from './openssl-ca.ts';
import { scratchDirectory } from './scratch.ts';

/** One request as it came. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Of a POST: the decoded protected header (RFC 7515 §4). */
  readonly protected: Readonly<Record<string, unknown>>;
  /** Of a POST: the decoded payload. */
  readonly payload: string;
}

type Fields = Readonly<Record<string, string | readonly string[]>>;

/** What is answered: an object is sent as JSON, a text as it is; a function may do worse. */
export interface Reply {
  readonly status?: number;
  readonly headers?: Fields;
  readonly json?: unknown;
  readonly text?: string;
  /** Leaves the nonce out that every answer else carries. */
  readonly withoutNonce?: boolean;
}
type Misbehaviour = (response: ServerResponse, request: IncomingMessage) => void;
/** Undefined where it has seen to the answer itself. */
type Script = (received: Received, response: ServerResponse, request: IncomingMessage) => Reply | undefined;

/** An https server that answers as the test says, path by path. */
export interface AcmeServer {
  readonly origin: string;
  readonly directory: string;
  readonly caPem: string;
  readonly received: Received[];
  /** How many connections it has taken, and how many of them resumed a TLS session. */
  readonly connections: { count: number; resumed: number };
  /** Replies for a path, used up one after the other; the last one stays. */
  on(path: string, ...replies: readonly Reply[]): void;
  onRequest(path: string, answer: (received: Received) => Reply): void;
  misbehave(path: string, how: Misbehaviour): void;
  /** Cuts every connection that is open. */
  cutAll(): void;
  url(path: string): string;
  posts(path?: string): Received[];
}

/** The nonces are `nonce-0`, `nonce-1` … in the order of the answers. */
export async function acmeServer(t: TestContext): Promise<AcmeServer> {
  const ca = await opensslCa(scratchDirectory(t), 'ACME HTTPS');
  const { fullchainFile, keyFile } = await ca.leaf('acme', { names: ['127.0.0.1', 'localhost'] });
  const scripts = new Map<string, Script[]>();
  const sockets = new Set<TLSSocket>();
  const received: Received[] = [];
  const connections = { count: 0, resumed: 0 };
  let nonces = 0;

  const server = createServer({ cert: readFileSync(fullchainFile), key: readFileSync(keyFile) }, (request, response) => {
    let body = '';
    request.on('data', (data: Buffer) => (body += data.toString()));
    request.on('error', () => undefined);
    request.once('end', () => {
      const seen = receivedOf(request, body);
      received.push(seen);
      const list = scripts.get(seen.path) ?? [];
      const script = list.length > 1 ? list.shift() : list[0];
      const reply = script === undefined ? { status: 404 } : script(seen, response, request);
      if (reply === undefined) return;
      answer(response, reply, `nonce-${nonces}`);
      nonces += 1;
    });
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    connections.count += 1;
    if (socket.isSessionReused()) connections.resumed += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => undefined);
  const origin = `https://127.0.0.1:${await listenUntilEnd(t, server)}`;
  const url = (path: string): string => `${origin}${path}`;

  const made: AcmeServer = {
    origin,
    directory: url('/dir'),
    caPem: readFileSync(ca.rootFile, 'utf8'),
    received,
    connections,
    on: (path, ...replies) =>
      void scripts.set(
        path,
        replies.map((reply) => () => reply),
      ),
    onRequest: (path, reply) => void scripts.set(path, [reply]),
    misbehave: (path, how) =>
      void scripts.set(path, [
        (_received, response, request) => {
          how(response, request);
          return undefined;
        },
      ]),
    cutAll() {
      for (const socket of sockets) socket.destroy();
    },
    url,
    posts: (path) => received.filter((one) => one.method === 'POST' && (path === undefined || one.path === path)),
  };
  const paths = ['newNonce', 'newAccount', 'newOrder', 'revokeCert', 'keyChange', 'renewalInfo'];
  made.on('/dir', { json: Object.fromEntries(paths.map((name) => [name, url(`/${name}`)])), withoutNonce: true });
  made.on('/newNonce', {});
  return made;
}

/** A problem document (RFC 8555 §6.7) with the status that goes with it. */
export function problem(type: string, status = 400, more: Readonly<Record<string, unknown>> = {}, headers: Fields = {}): Reply {
  const json = { type: `urn:ietf:params:acme:error:${type}`, detail: `scripted ${type}`, status, ...more };
  return { status, headers: { 'content-type': 'application/problem+json', ...headers }, json };
}

function decoded(text: string | undefined): string {
  return Buffer.from(text ?? '', 'base64url').toString();
}

function receivedOf(request: IncomingMessage, body: string): Received {
  const { method = '', url = '', headers } = request;
  const jws = (body === '' ? {} : JSON.parse(body)) as { protected?: string; payload?: string };
  const header = (jws.protected === undefined ? {} : JSON.parse(decoded(jws.protected))) as Record<string, unknown>;
  return { method, path: url, headers, body, protected: header, payload: decoded(jws.payload) };
}

function answer(response: ServerResponse, { status = 200, headers = {}, json, text, withoutNonce }: Reply, nonce: string): void {
  const type: Fields = json === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' };
  const fresh: Fields = withoutNonce === true ? {} : { 'replay-nonce': nonce };
  response.writeHead(status, { ...type, ...fresh, ...headers } as Record<string, string | string[]>);
  response.end(json === undefined ? text : JSON.stringify(json));
}
