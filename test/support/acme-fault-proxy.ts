import { readFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:https';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { listenUntilEnd } from './fault-server.ts';
import { opensslCa } from './openssl-ca.ts';
import { scratchDirectory } from './scratch.ts';

export type RequestKind =
  | 'directory'
  | 'newNonce'
  | 'newAccount'
  | 'account'
  | 'newOrder'
  | 'order'
  | 'authorization'
  | 'challenge'
  | 'finalize'
  | 'certificate'
  | 'revokeCert'
  | 'keyChange'
  | 'renewalInfo'
  | 'other';

/** One exchange as it passed: what was asked, and what the client was given. */
export interface Seen {
  readonly kind: RequestKind;
  readonly method: string;
  readonly path: string;
  readonly at: number;
  /** The payload of a JWS, decoded; undefined for none. */
  readonly payload: Readonly<Record<string, unknown>> | undefined;
  /** Of a JWS: the same one again is the same request sent again, which no server does twice (RFC 8555 §6.5). */
  readonly nonce: string | undefined;
  /** What the client got; 0 while it waits, or when it got nothing. */
  status: number;
  /** A problem's type, without its prefix. */
  problem: string | undefined;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
}

/** What happens to a request instead of being passed on. */
export type Fault =
  /** Nothing is passed on; the client is told this. */
  | { readonly do: 'answer'; readonly reply: Partial<Omit<Reply, 'body'>> & { readonly body?: string | Buffer } }
  /** Passed on, and the answer changed. */
  | { readonly do: 'change'; readonly change: (reply: Reply, asked: Seen) => Reply | Promise<Reply> }
  /** Passed on, and the connection ends in the middle of the answer's body. */
  | { readonly do: 'cut' }
  /** Passed on (or not, when `unheard`), and the connection ends without an answer. */
  | { readonly do: 'drop'; readonly unheard?: boolean }
  /** Passed on (or not, when `unheard`), and never answered. */
  | { readonly do: 'silence'; readonly unheard?: boolean };

export interface Rule {
  readonly on: RequestKind | readonly RequestKind[] | 'all';
  /** The first request of these kinds that is hit, counted from when the rule was set. Default 1. */
  readonly from?: number;
  /** How many are hit. Default: all from then on. */
  readonly times?: number;
  readonly fault: Fault;
}

/** HTTPS between an ACME client and Pebble, which makes its URLs from the Host header: so all of them lead through here. */
export interface FaultProxy {
  readonly directory: string;
  readonly caFile: string;
  readonly seen: readonly Seen[];
  /** How many requests of a kind came; those refused for their nonce, and those sent once more, are not counted. */
  count(kind: RequestKind): number;
  /** Sets one more rule; the first that hits a request is used. @returns how often it has hit so far */
  fault(rule: Rule): () => number;
  /** Takes all rules away, and forgets what was seen. */
  clear(): void;
  /** The CSR of the last finalize, DER. */
  lastCsr(): Buffer;
}

export async function startFaultProxy(t: Pick<TestContext, 'after'>, target: { origin: string; caPem: string }): Promise<FaultProxy> {
  const ca = await opensslCa(join(scratchDirectory(t), 'proxy'), 'Fault Proxy');
  const leaf = await ca.leaf('proxy', { names: ['localhost', '127.0.0.1'] });
  const agent = new Agent({ ca: target.caPem, keepAlive: true });
  t.after(() => agent.destroy());
  const seen: Seen[] = [];
  let rules: { readonly rule: Rule; met: number; hits: number }[] = [];

  function faultFor(kind: RequestKind): Fault | undefined {
    let fault: Fault | undefined;
    for (const one of rules) {
      const { on, from = 1, times = Infinity } = one.rule;
      if (on !== 'all' && on !== kind && !on.includes(kind)) continue;
      one.met += 1;
      if (fault !== undefined || one.met < from || one.hits >= times) continue;
      one.hits += 1;
      fault = one.rule.fault;
    }
    return fault;
  }

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await read(incoming);
    const path = incoming.url ?? '/';
    const kind = kindOf(path);
    const one: Seen = {
      kind,
      method: incoming.method ?? '',
      path,
      at: Date.now(),
      ...jwsOf(body),
      status: 0,
      problem: undefined,
    };
    seen.push(one);
    const fault = faultFor(kind);
    const pass = (): Promise<Reply> => forward(target.origin, agent, incoming, body);
    const give = (reply: Reply): void => {
      one.status = reply.status;
      one.problem = problemOf(reply);
      response.writeHead(reply.status, plain(reply.headers));
      response.end(reply.body);
    };
    if (fault === undefined) return give(await pass());
    if (fault.do === 'answer') {
      const { status = 200, headers = {}, body: text = '' } = fault.reply;
      return give({
        status,
        headers: { 'replay-nonce': await freshNonce(target.origin, agent, incoming.headers), ...headers },
        body: Buffer.from(text),
      });
    }
    if (fault.do === 'change') return give(await fault.change(await pass(), one));
    if (fault.do === 'cut') {
      const reply = await pass();
      one.status = reply.status;
      response.writeHead(reply.status, { ...plain(reply.headers), 'content-length': String(reply.body.length) });
      response.write(reply.body.subarray(0, Math.floor(reply.body.length / 2)), () => incoming.socket.destroy());
      return;
    }
    if (fault.unheard !== true) await pass();
    if (fault.do === 'silence') return;
    incoming.socket.destroy();
  }

  const server = createServer({ key: readFileSync(leaf.keyFile), cert: readFileSync(leaf.fullchainFile) }, (incoming, response) => {
    handle(incoming, response).catch((error: unknown) => {
      console.log(`# fault proxy: ${incoming.method} ${incoming.url}: ${String(error)}`);
      incoming.socket.destroy();
    });
  });
  const port = await listenUntilEnd(t, server);
  return {
    directory: `https://127.0.0.1:${port}/dir`,
    caFile: ca.rootFile,
    seen,
    count(kind) {
      const counted = seen.filter((one) => one.kind === kind && one.problem !== 'badNonce');
      return new Set(counted.map((one) => one.nonce ?? one)).size;
    },
    fault(rule) {
      const kept = { rule, met: 0, hits: 0 };
      rules.push(kept);
      return () => kept.hits;
    },
    clear() {
      rules = [];
      seen.length = 0;
    },
    lastCsr() {
      const csr = seen.findLast(({ kind }) => kind === 'finalize')?.payload?.['csr'];
      if (typeof csr !== 'string') throw new Error('nothing was finalized yet');
      return Buffer.from(csr, 'base64url');
    },
  };
}

/** Pebble's paths. */
const KINDS: readonly (readonly [RegExp, RequestKind])[] = [
  [/^\/dir$/, 'directory'],
  [/^\/nonce-plz/, 'newNonce'],
  [/^\/sign-me-up/, 'newAccount'],
  [/^\/my-account\//, 'account'],
  [/^\/order-plz/, 'newOrder'],
  [/^\/my-order\//, 'order'],
  [/^\/finalize-order\//, 'finalize'],
  [/^\/authZ\//, 'authorization'],
  [/^\/chalZ\//, 'challenge'],
  [/^\/certZ\//, 'certificate'],
  [/^\/revoke-cert/, 'revokeCert'],
  [/^\/rollover-account-key/, 'keyChange'],
  [/renewalInfo/, 'renewalInfo'],
];

function kindOf(path: string): RequestKind {
  return KINDS.find(([pattern]) => pattern.test(path))?.[1] ?? 'other';
}

function jwsOf(body: Buffer): Pick<Seen, 'payload' | 'nonce'> {
  if (body.length === 0) return { payload: undefined, nonce: undefined };
  try {
    const jws = JSON.parse(body.toString()) as Record<'payload' | 'protected', string>;
    return { payload: jws.payload === '' ? undefined : decoded(jws.payload), nonce: String(decoded(jws.protected)['nonce']) };
  } catch {
    return { payload: undefined, nonce: undefined };
  }
}

function decoded(part: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Readonly<Record<string, unknown>>;
}

function problemOf({ status, body }: Reply): string | undefined {
  if (status < 400) return undefined;
  return /urn:ietf:params:acme:error:(\w+)/.exec(body.toString())?.[1];
}

/** Header values as Node takes them; lengths and connections are this server's own affair. */
function plain(headers: Reply['headers']): Record<string, string | string[]> {
  const own = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive']);
  const kept = Object.entries(headers).flatMap(([name, value]) => (value === undefined || own.has(name) ? [] : [[name, value] as const]));
  return Object.fromEntries(kept.map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]));
}

/** As every answer to a POST has one (RFC 8555 §6.5). */
async function freshNonce(origin: string, agent: Agent, { host }: IncomingHttpHeaders): Promise<string> {
  const { headers } = await exchange(`${origin}/nonce-plz`, agent, 'HEAD', { host, 'user-agent': 'fault-proxy' });
  return String(headers['replay-nonce']);
}

function forward(origin: string, agent: Agent, { url, method, headers }: IncomingMessage, body: Buffer): Promise<Reply> {
  const { connection: _, ...kept } = headers;
  return exchange(`${origin}${url}`, agent, method ?? 'GET', kept, body);
}

function exchange(url: string, agent: Agent, method: string, headers: IncomingHttpHeaders, body?: Buffer): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const asking = request(url, { agent, method, headers }, (response) => {
    read(response).then((data) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: data }), reject);
  });
  asking.once('error', reject);
  asking.end(body);
  return promise;
}

async function read(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
