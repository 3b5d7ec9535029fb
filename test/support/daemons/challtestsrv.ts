import { request } from 'node:http';
import type { TestContext } from 'node:test';

import { start, type Running } from '../command.ts';
import { freePort } from '../scratch.ts';
import { listening } from './ready.ts';

export interface ChallengeTestServerOptions {
  /** Answer to every A question without a record of its own. Default: 127.0.0.1; empty answers with none. */
  readonly defaultIPv4?: string;
  /** The same for AAAA. Default: none, as Pebble would prefer it to the A record. */
  readonly defaultIPv6?: string;
}

/** pebble-challtestsrv: the DNS that Pebble asks, with records that a test sets, and an http-01 answerer. */
export interface ChallengeTestServer {
  /** `127.0.0.1:port`, UDP and TCP. */
  readonly dnsAddress: string;
  /** Where records are set, for programs. */
  readonly managementUrl: string;
  /** Answers `addHttp01` tokens; only of use where Pebble's `httpPort` is this port. */
  readonly httpPort: number;
  readonly daemon: Running;
  addA(name: string, ...addresses: readonly string[]): Promise<void>;
  addAAAA(name: string, ...addresses: readonly string[]): Promise<void>;
  clearA(name: string): Promise<void>;
  clearAAAA(name: string): Promise<void>;
  /** Adds a value; others under the name stay. */
  setTxt(name: string, value: string): Promise<void>;
  clearTxt(name: string): Promise<void>;
  setCname(name: string, target: string): Promise<void>;
  clearCname(name: string): Promise<void>;
  addCaa(name: string, ...policies: readonly { readonly tag: string; readonly value: string }[]): Promise<void>;
  clearCaa(name: string): Promise<void>;
  addHttp01(token: string, content: string): Promise<void>;
  setDefaultIPv4(address: string): Promise<void>;
  setDefaultIPv6(address: string): Promise<void>;
  /** From now on SERVFAIL for the name, until `clearServfail`. */
  servfail(name: string): Promise<void>;
  clearServfail(name: string): Promise<void>;
}

export async function startChallengeTestServer(
  t: Pick<TestContext, 'after'>,
  program: string,
  options: ChallengeTestServerOptions = {},
): Promise<ChallengeTestServer> {
  const [dns, management, http] = await Promise.all([freePort(), freePort(), freePort()]);
  const binds = ['-dnsserver', `127.0.0.1:${dns}`, '-management', `127.0.0.1:${management}`, '-http01', `127.0.0.1:${http}`];
  const off = ['-https01', '', '-tlsalpn01', '', '-doh', ''];
  const defaults = ['-defaultIPv4', options.defaultIPv4 ?? '127.0.0.1', '-defaultIPv6', options.defaultIPv6 ?? ''];
  const daemon = start(t, program, [...binds, ...off, ...defaults]);
  await listening(daemon, [dns, management]);
  const managementUrl = `http://127.0.0.1:${management}`;
  const set = (path: string, body: Readonly<Record<string, unknown>>): Promise<void> =>
    post(`${managementUrl}/${path}`, JSON.stringify(body));
  return {
    dnsAddress: `127.0.0.1:${dns}`,
    managementUrl,
    httpPort: http,
    daemon,
    addA: (name, ...addresses) => set('add-a', { host: host(name), addresses }),
    addAAAA: (name, ...addresses) => set('add-aaaa', { host: host(name), addresses }),
    clearA: (name) => set('clear-a', { host: host(name) }),
    clearAAAA: (name) => set('clear-aaaa', { host: host(name) }),
    setTxt: (name, value) => set('set-txt', { host: host(name), value }),
    clearTxt: (name) => set('clear-txt', { host: host(name) }),
    setCname: (name, target) => set('set-cname', { host: host(name), target: host(target) }),
    clearCname: (name) => set('clear-cname', { host: host(name) }),
    addCaa: (name, ...policies) => set('add-caa', { host: host(name), policies }),
    clearCaa: (name) => set('clear-caa', { host: host(name) }),
    addHttp01: (token, content) => set('add-http01', { token, content }),
    setDefaultIPv4: (ip) => set('set-default-ipv4', { ip }),
    setDefaultIPv6: (ip) => set('set-default-ipv6', { ip }),
    servfail: (name) => set('set-servfail', { host: host(name) }),
    clearServfail: (name) => set('clear-servfail', { host: host(name) }),
  };
}

function host(name: string): string {
  return `${name.replace(/\.$/, '')}.`;
}

function post(url: string, body: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const asking = request(url, { method: 'POST', agent: false }, (response) => {
    response.resume();
    response.once('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`${url} answered ${response.statusCode}`))));
  });
  asking.once('error', reject);
  asking.end(body);
  return promise;
}
