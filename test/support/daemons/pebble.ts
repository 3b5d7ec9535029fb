import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { request, type RequestOptions } from 'node:https';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { start, type Running } from '../command.ts';
import { unpackedDebianPackage } from '../debian-packages.ts';
import { opensslCa } from '../openssl-ca.ts';
import { freePort, scratchDirectory } from '../scratch.ts';
import { startChallengeTestServer, type ChallengeTestServer, type ChallengeTestServerOptions } from './challtestsrv.ts';
import { listening } from './ready.ts';

export interface PebbleOptions {
  /** Name to what it promises. Default: `default` (90 d) and `shortlived` (6 d). */
  readonly profiles?: Readonly<Record<string, { readonly description?: string; readonly validitySeconds: number }>>;
  /** Key ids with their MAC keys in base64url; given, an account must be bound to one. */
  readonly eab?: Readonly<Record<string, string>>;
  /** Percentage of good nonces refused. Default: Pebble's own, 5. */
  readonly nonceReject?: number;
  /** Percentage of valid authorizations used again. Default: Pebble's own, 50. */
  readonly authzReuse?: number;
  readonly alternateRoots?: number;
  /** Intermediates between leaf and root. Default 1. */
  readonly chainLength?: number;
  /** Seconds, 0 sends none. Default: none of either, or tests would be slow. */
  readonly retryAfter?: { readonly authz: number; readonly order: number };
  /** Default true. */
  readonly strict?: boolean;
  /** Seconds that validations sleep at most, at random. Default 0: none. */
  readonly sleepSeconds?: number;
  /** Challenges are valid without a look. Default false. */
  readonly alwaysValid?: boolean;
  /** Names that are refused with `rejectedIdentifier`. */
  readonly blocked?: readonly string[];
  readonly caaIdentities?: readonly string[];
  /** Where http-01 is validated. Default: a free port. */
  readonly httpPort?: number;
  /** Where tls-alpn-01 is validated. Default: a free port. */
  readonly tlsPort?: number;
  /** Where Pebble asks DNS. Default: the pebble-challtestsrv that is started beside it. */
  readonly dnsAddress?: string;
  readonly dns?: ChallengeTestServerOptions;
}

export interface Pebble {
  /** The directory URL. */
  readonly directory: string;
  /** `https://127.0.0.1:port` */
  readonly origin: string;
  readonly managementUrl: string;
  /** The root of its own HTTPS (not of what it issues). */
  readonly caPem: string;
  readonly caFile: string;
  readonly httpPort: number;
  readonly tlsPort: number;
  readonly dns: ChallengeTestServer;
  readonly daemon: Running;
  /** PEM of the root of what it issues; from 1 on the alternate ones. */
  root(index?: number): Promise<string>;
  intermediate(index?: number): Promise<string>;
  /** What Pebble says of a serial number in hexadecimal: `Valid`, `Revoked` with its reason, undefined where it never issued it. */
  status(serial: string): Promise<{ readonly status: string; readonly reason: number | undefined } | undefined>;
  /** Replaces the answer that renewalInfo gives for a certificate (PEM), word for word. */
  setRenewalInfo(certificatePem: string, answer: string): Promise<void>;
  log(): string;
}

const PROFILES: PebbleOptions['profiles'] = {
  default: { description: 'ninety days', validitySeconds: 90 * 86_400 },
  shortlived: { description: 'six days', validitySeconds: 6 * 86_400 },
};

/** Let's Encrypt's test server with its chaos on (`-strict`, refused nonces, authorizations used again), with a DNS beside it. */
export async function startPebble(t: Pick<TestContext, 'after'>, options: PebbleOptions = {}): Promise<Pebble> {
  const [programs, acme, management] = await Promise.all([pebblePrograms(), freePort(), freePort()]);
  const [httpPort, tlsPort] = await Promise.all([options.httpPort ?? freePort(), options.tlsPort ?? freePort()]);
  const dns = await startChallengeTestServer(t, programs.challtestsrv, options.dns);
  const directory = scratchDirectory(t);
  const ca = await opensslCa(join(directory, 'https'), 'Pebble HTTPS');
  const own = await ca.leaf('pebble', { names: ['localhost', '127.0.0.1'] });
  const file = join(directory, 'pebble.json');
  const files = { certificate: own.fullchainFile, privateKey: own.keyFile };
  writeFileSync(
    file,
    JSON.stringify({ pebble: { ...pebbleConfiguration(options), ...files, ...ports(acme, management, httpPort, tlsPort) } }),
  );
  const args = ['-config', file, '-dnsserver', options.dnsAddress ?? dns.dnsAddress, ...((options.strict ?? true) ? ['-strict'] : [])];
  const daemon = start(t, programs.pebble, args, { env: pebbleEnvironment(options) });
  await listening(daemon, [acme, management]);

  const caPem = readFileSync(ca.rootFile, 'utf8');
  const managementUrl = `https://127.0.0.1:${management}`;
  const ask = (path: string, body?: string): Promise<Answer> => answer(`${managementUrl}${path}`, caPem, body);
  const pem = async (path: string): Promise<string> => (await expected(ask(path), path)).body;
  return {
    origin: `https://127.0.0.1:${acme}`,
    directory: `https://127.0.0.1:${acme}/dir`,
    managementUrl,
    caPem,
    caFile: ca.rootFile,
    httpPort,
    tlsPort,
    dns,
    daemon,
    root: (index = 0) => pem(`/roots/${index}`),
    intermediate: (index = 0) => pem(`/intermediates/${index}`),
    async status(serial) {
      const path = `/cert-status-by-serial/${serial.toLowerCase().replace(/^0+/, '')}`;
      const said = await ask(path);
      if (said.status === 404) return undefined;
      const { Status, Reason } = JSON.parse(said.body) as { Status: string; Reason?: number };
      return { status: Status, reason: Reason };
    },
    async setRenewalInfo(certificate, ariResponse) {
      await expected(ask('/set-renewal-info/', JSON.stringify({ certificate, ariResponse })), '/set-renewal-info/');
    },
    log: () => daemon.output(),
  };
}

/** Debian sid's 2.10, or trixie's 2.6 where sid cannot be had. */
export async function pebblePrograms(): Promise<{ pebble: string; challtestsrv: string }> {
  const release = await unpackedDebianPackage('pebble', 'sid').catch(() => unpackedDebianPackage('pebble', 'trixie'));
  const programs = { pebble: join(release, 'usr/bin/pebble'), challtestsrv: join(release, 'usr/bin/pebble-challtestsrv') };
  for (const program of Object.values(programs)) if (!existsSync(program)) throw new Error(`the Debian package pebble has no ${program}`);
  return programs;
}

function ports(acme: number, management: number, httpPort: number, tlsPort: number): Readonly<Record<string, unknown>> {
  return { listenAddress: `127.0.0.1:${acme}`, managementListenAddress: `127.0.0.1:${management}`, httpPort, tlsPort };
}

/** Its configuration file, without its addresses and its own certificate. */
export function pebbleConfiguration(options: PebbleOptions): Readonly<Record<string, unknown>> {
  const profiles = Object.entries(options.profiles ?? PROFILES ?? {}).map(([name, { description, validitySeconds }]) => [
    name,
    { description: description ?? name, validityPeriod: validitySeconds },
  ]);
  return {
    externalAccountBindingRequired: options.eab !== undefined,
    externalAccountMACKeys: options.eab ?? {},
    domainBlocklist: options.blocked ?? [],
    caaIdentities: options.caaIdentities ?? ['pebble.letsencrypt.org'],
    retryAfter: options.retryAfter ?? { authz: 0, order: 0 },
    keyAlgorithm: 'ecdsa',
    profiles: Object.fromEntries(profiles),
  };
}

function text(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}

export function pebbleEnvironment(options: PebbleOptions): Record<string, string | undefined> {
  return {
    PEBBLE_WFE_NONCEREJECT: text(options.nonceReject),
    PEBBLE_AUTHZREUSE: text(options.authzReuse),
    PEBBLE_ALTERNATE_ROOTS: text(options.alternateRoots),
    PEBBLE_CHAIN_LENGTH: text(options.chainLength),
    PEBBLE_VA_NOSLEEP: options.sleepSeconds === undefined ? '1' : undefined,
    PEBBLE_VA_SLEEPTIME: text(options.sleepSeconds),
    PEBBLE_VA_ALWAYS_VALID: options.alwaysValid === true ? '1' : undefined,
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

async function expected(asked: Promise<Answer>, path: string): Promise<Answer> {
  const said = await asked;
  if (said.status !== 200) throw new Error(`Pebble answered ${said.status} to ${path}: ${said.body}`);
  return said;
}

function answer(url: string, ca: string, body?: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const options: RequestOptions = { ca, agent: false, method: body === undefined ? 'GET' : 'POST', headers: { 'user-agent': 'test' } };
  const asking = request(url, options, (response) => {
    let received = '';
    response.on('data', (data: Buffer) => (received += data.toString()));
    response.once('end', () => resolve({ status: response.statusCode ?? 0, body: received }));
    response.once('error', reject);
  });
  asking.once('error', reject);
  asking.end(body);
  return promise;
}
