import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request, type ClientRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { leafSha256 } from '../../src/certificate/bundle.ts';
import { parseEndpoint } from '../../src/delivery/endpoint.ts';
import { servedLeafSha256 } from '../../src/delivery/probe.ts';
import type { ServiceStatus } from '../../src/services/certificates/status.ts';
import type { StatusAnswer } from './apache.ts';
import type { LoadCounts } from './load-client.ts';
import { startLoad, type Load } from './load.ts';
import { eventually, type PodHost } from './pods.ts';
import { scaled } from './scale.ts';

const MEBIBYTE = 2 ** 20;

export interface WebWish {
  /** Where the published ports are. Default: as shipped. */
  readonly host?: string;
  readonly port?: number;
  readonly servername?: string;
}

/** The leaf that is served now on the published port, by a handshake from the host. */
export function servedLeaf({ host = '127.0.0.1', port = 443, servername = 'localhost' }: WebWish = {}): Promise<string> {
  return servedLeafSha256(parseEndpoint(`https://${host}:${port}`), { servername, timeoutMs: 3000 });
}

/** The fingerprint of what is published now. */
export async function publishedLeaf(host: PodHost): Promise<string | undefined> {
  const current = await host.current();
  return current === undefined ? undefined : leafSha256(current.bundle.leaf);
}

/**
 * Waits until what is published is served.
 * @returns milliseconds from the switch of the publication to the first handshake that showed it
 */
export async function untilServed(host: PodHost, wish: WebWish & { readonly ms?: number } = {}): Promise<number> {
  const { ms = 10_000 } = wish;
  let last: unknown;
  for (const deadline = Date.now() + ms; Date.now() < deadline; await setTimeout(5)) {
    const published = await publishedLeaf(host).catch(() => undefined);
    if (published === undefined) continue;
    const seen = await servedLeaf(wish).catch((error: unknown) => void (last = error));
    if (seen === published) return Date.now() - lstatSync(join(host.data, 'certificates/default/..data')).ctimeMs;
  }
  throw new Error(`what is published was not served within ${ms} ms`, { cause: last });
}

export async function untilPublished(host: PodHost, container = 'certificates-certificates'): Promise<void> {
  const published = async (): Promise<boolean> => (await host.current()) !== undefined;
  await eventually(published, 'a certificate is published', 20_000, () => host.logs(container));
}

/** A renewal as a person forces it. */
export async function renew(host: PodHost, container = 'certificates-certificates'): Promise<void> {
  await host.must(['exec', container, 'podserve', 'certificates', '--mode', 'renew', '--force', '--state', '/data/state']);
}

/**
 * As `renew`, looking from the switch on: now and then `podman exec` of 4.3 takes five seconds to see that its program
 * has ended.
 * @returns milliseconds from the switch of the publication to the first handshake that showed it
 */
export async function renewServed(host: PodHost, wish: WebWish = {}): Promise<number> {
  const before = await publishedLeaf(host);
  const renewing = renew(host);
  const switched = async (): Promise<boolean> => (await publishedLeaf(host)) !== before;
  const serving = eventually(switched, 'a renewal is published').then(() => untilServed(host, wish));
  const [took] = await Promise.all([serving, renewing]);
  return took;
}

/** The pods `certificates` and `web`, serving. */
export async function playBoth(host: PodHost, options: Parameters<PodHost['play']>[1] = {}): Promise<void> {
  await host.play('certificates.yaml', options);
  await host.play('web.yaml', options);
  await untilServed(host, { ms: 30_000 });
}

/**
 * Files for {@link startWebLoad}.
 * @param seconds of load at most: its download takes about 1 MiB a second, and must not be through before the end
 */
export function provideFiles(host: PodHost, seconds = scaled(640)): void {
  const www = join(host.data, 'apache/www');
  mkdirSync(www, { recursive: true });
  writeFileSync(join(www, 'small.txt'), 'small');
  writeFileSync(join(www, 'large.bin'), randomBytes(seconds * MEBIBYTE));
}

/** podserve.yaml with a site of those files, and more keys. */
export function configureSite(host: PodHost, more: Readonly<Record<string, unknown>> = {}): void {
  const config = { apache: { sites: [{ certificate: 'default', root: '/data/state/apache/www' }] }, ...more };
  // JSON is YAML.
  writeFileSync(join(host.data, 'config/podserve.yaml'), JSON.stringify(config));
}

/** Load from outside of the pods, on the port that the host publishes. */
export function startWebLoad(t: TestContext, { port = 443 }: WebWish = {}): Promise<Load> {
  return startLoad(t, { port, connections: 4, keepAlive: 4, small: '/small.txt', large: '/large.bin' });
}

/** What became of the requests, for the report. */
export function loadReport({ newConnections, keptRequests, retried, failures }: LoadCounts): string {
  return (
    `${newConnections} new connections, ${keptRequests} requests on kept ones, ${failures.length} failed, ` +
    `${retried} sent again because an idle connection was closed`
  );
}

/** No request failed, and there were some. */
export function assertUnharmed(counts: LoadCounts): void {
  assert.deepEqual(counts.failures, []);
  assert.ok(counts.newConnections > 20 && counts.keptRequests > 20, `there was hardly any load: ${loadReport(counts)}`);
}

/** The status code of plain HTTP from the host. */
export function httpStatus(url: string): Promise<number> {
  return statusOf(request(url, { agent: false, timeout: 3000 }));
}

/** The status code over HTTPS from the host, once the chain is verified against ca.pem and the name is there. */
export function httpsStatus(host: PodHost, wish: WebWish = {}): Promise<number> {
  const { host: address = '127.0.0.1', port = 443, servername = 'localhost' } = wish;
  const ca = readFileSync(join(host.data, 'certificates/ca.pem'));
  return statusOf(secureRequest({ host: address, port, servername, ca, agent: false, timeout: 3000 }));
}

function statusOf(asking: ClientRequest): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  asking.once('response', (response) => {
    response.resume();
    resolve(response.statusCode ?? 0);
  });
  asking.once('timeout', () => asking.destroy(new Error(`${asking.host} is silent`)));
  asking.once('error', reject);
  asking.end();
  return promise;
}

export async function apacheStatus(host: PodHost, container = 'web-apache'): Promise<StatusAnswer> {
  return (await host.status(container, 9082)) as unknown as StatusAnswer;
}

export async function certificatesStatus(host: PodHost, container = 'certificates-certificates'): Promise<ServiceStatus> {
  return (await host.status(container, 9081)) as unknown as ServiceStatus;
}
