import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from '../support/command.ts';
import type { PebbleOptions } from '../support/daemons/pebble.ts';
import { acmeClients, type AcmeClientProgram } from './acme-clients.ts';
import type { OrdersTook } from './acme-orders.ts';
import { startAcmeServer, type AcmeServer, type Requests } from './acme-server.ts';
import { milliseconds, type Row } from './measure.ts';
import { emptyDirectory, type Place } from './place.ts';
import { medianUsage, usageOf, type Usage } from './usage.ts';

/** `PODSERVE_BENCH_ORDERS=20` is for those who build the bench. */
const ORDERS = Number(process.env['PODSERVE_BENCH_ORDERS'] ?? 200);
const FULL = ORDERS >= 200;
const AT_ONCE = [1, 10, 50];
/** Some servers, and some clients, can wait for ever. */
const LONGEST_MS = 120_000;
/** A client that stumbles over what Pebble offers by chance is run again. */
const MOST_TRIES = 20;
const FIRST_LOOK_MS = 25;
/** Seconds. */
const RETRY_AFTER = 1;
const SLOW_ORDERS = 8;

interface Measured extends Usage {
  readonly name: string;
  readonly requests: Requests;
}

/** Orders from Pebble: one beside other clients, and many in one process. */
export async function measureAcme(place: Place): Promise<Row[]> {
  const measured = await oneByOne(place);
  return [...oneRows(measured), ...(await manyRows(place, measured.slice(1)))];
}

/** Each client in turn, against the same server, as whole processes. The first is ours. */
async function oneByOne(place: Place): Promise<Measured[]> {
  await using server = await startAcmeServer(emptyDirectory(place, 'acme-webroot'));
  const clients = await acmeClients(place, server);
  for (const { name, once, within } of clients) {
    for (const program of once) if ((await usageOf(program, within)) === undefined) throw new Error(`${name} made no account`);
  }
  const usages = clients.map((): Usage[] => []);
  const requests = clients.map((): Requests => ({ orders: 0, advice: 0 }));
  const most = FULL ? Math.max(...clients.map(({ rounds }) => rounds)) : 2;
  // One round before is not counted: some make what they keep at the first certificate.
  for (let round = -1; round < most; round += 1) {
    for (const [index, client] of clients.entries()) {
      if (round >= client.rounds) continue;
      const one = await renewal(client, server);
      if (round < 0) continue;
      usages[index]?.push(one);
      requests[index] = one.requests;
    }
  }
  return clients.map(({ name }, index) => ({
    name,
    ...medianUsage(usages[index] ?? []),
    requests: requests[index] ?? { orders: 0, advice: 0 },
  }));
}

async function renewal({ name, renew, within }: AcmeClientProgram, server: AcmeServer): Promise<Usage & { requests: Requests }> {
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const before = await server.requests();
    const usage = await usageOf(renew, within);
    if (usage === undefined) continue;
    const after = await server.requests();
    return { ...usage, requests: { orders: after.orders - before.orders, advice: after.advice - before.advice } };
  }
  throw new Error(`${name} got no certificate in ${MOST_TRIES} tries`);
}

function oneRows([ours, ...rivals]: readonly Measured[]): Row[] {
  if (ours === undefined) return [];
  const row = (what: string, of: (one: Measured) => number, show: (value: number) => string, aim: string, met?: boolean): Row => {
    const best = Math.min(...rivals.map(of));
    const peer = rivals.map((one) => `${one.name} ${show(of(one))}`).join(', ');
    return { what, ours: show(of(ours)), peer, ratio: rivals.length === 0 ? '' : (of(ours) / best).toFixed(2), aim, met };
  };
  const what = 'one renewal, account there';
  const ahead = rivals.every(({ wallMs }) => ours.wallMs < wallMs);
  return [
    row(`${what}: time`, ({ wallMs }) => wallMs, milliseconds, '≤ 180 ms', ours.wallMs <= 180),
    row(`${what}: time, ahead of all`, ({ wallMs }) => wallMs, milliseconds, '< 1 ×', ahead),
    row(`${what}: CPU`, ({ cpuMs }) => cpuMs, milliseconds, ''),
    row(
      `${what}: largest process`,
      ({ peakKib }) => peakKib,
      (kib) => `${(kib / 1024).toFixed(0)} MiB`,
      '',
    ),
    row(
      `${what}: requests${ours.requests.advice === 0 ? '' : `, without ${ours.requests.advice} for ARI`}`,
      ({ requests }) => requests.orders,
      String,
      '≤ 8',
      ours.requests.orders <= 8,
    ),
  ];
}

async function manyRows(place: Place, rivals: readonly Measured[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const atOnce of AT_ONCE) {
    const took = await orders(place, ORDERS, atOnce);
    rows.push(...ordersRows(took, atOnce, atOnce === 1 ? rivals : []));
    if (atOnce === 1) rows.push(...lookRows(took));
  }
  const { signedLookMs } = await orders(place, SLOW_ORDERS, SLOW_ORDERS, { retryAfter: { authz: RETRY_AFTER, order: RETRY_AFTER } });
  const what = 'finalization to look, asked to wait a second';
  return [...rows, plain(what, milliseconds(signedLookMs), '', '≥ 1 s', signedLookMs >= RETRY_AFTER * 1000)];
}

function ordersRows(took: OrdersTook, atOnce: number, rivals: readonly Measured[]): Row[] {
  const { wallMs, cpuMs, orderRequests, sharedRequests, adviceRequests } = took;
  const [rate, cpu, requests] = [(ORDERS / wallMs) * 1000, cpuMs / ORDERS, orderRequests / ORDERS];
  const what = `${ORDERS} orders, ${atOnce} at a time`;
  const beside = rivals.length === 0 ? what : `${what} (peers: a process each)`;
  const rates = loopOf(rivals, (one) => `${(1000 / one.wallMs).toFixed(2)}/s`);
  const cpus = loopOf(rivals, (one) => milliseconds(one.cpuMs));
  const aimed = atOnce === 10;
  const besides = `and in all ${sharedRequests} for directory and nonces, ${adviceRequests} for ARI`;
  return [
    plain(beside, `${rate.toFixed(0)}/s`, rates, aimed ? '≥ 150/s' : '', aimed ? rate >= 150 : undefined),
    plain(`${beside}: CPU`, milliseconds(cpu), cpus, aimed ? '≤ 6 ms' : '', aimed ? cpu <= 6 : undefined),
    plain(`${what}: requests of each`, requests.toFixed(1), besides, '≤ 7.0', Number(requests.toFixed(1)) <= 7),
  ];
}

function lookRows({ provenLookMs, signedLookMs }: OrdersTook): Row[] {
  return [
    plain('challenge to first look', milliseconds(provenLookMs), '', '≈ 25 ms', isSoon(provenLookMs)),
    plain('finalization to first look', milliseconds(signedLookMs), '', '≈ 25 ms', isSoon(signedLookMs)),
  ];
}

/** Orders with a server of their own. @throws where one fails or all take too long */
async function orders(place: Place, count: number, atOnce: number, options: PebbleOptions = {}): Promise<OrdersTook> {
  await using server = await startAcmeServer(emptyDirectory(place, 'acme-webroot'), options);
  const { directory, caFile, webroot } = server;
  const config = join(place.directory, 'acme-orders.json');
  const issuer = { directory, caFile, challenge: 'http-01', http01: { webroot } };
  // One more than is counted: its order makes the account.
  const names = Array.from({ length: count + 1 }, (_, index) => (index === 0 ? 'default' : `name-${index}`));
  const certificates = names.map((name) => ({ name, names: [`${name}.lab.test`], issuers: ['pebble'] }));
  writeFileSync(config, JSON.stringify({ issuers: { pebble: issuer }, certificates }));
  const state = emptyDirectory(place, 'acme-orders');
  const script = join(import.meta.dirname, 'acme-orders.ts');
  // The flag is the one that a command has which does not stay.
  const args = ['--max-semi-space-size=1', script, config, state, String(atOnce)];
  const { code, stdout, stderr } = await run('timeout', [String(LONGEST_MS / 1000), process.execPath, ...args], { env: place.env });
  if (code !== 0) throw new Error(`${count} orders, ${atOnce} at a time, ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as OrdersTook;
}

/** What a loop of whole processes comes to. */
function loopOf(rivals: readonly Measured[], show: (one: Measured) => string): string {
  return rivals.map((one) => `${one.name} ${show(one)}`).join(', ');
}

function plain(what: string, ours: string, peer: string, aim: string, met: boolean | undefined): Row {
  return { what, ours, peer, ratio: '', aim, met };
}

function isSoon(ms: number): boolean {
  return ms >= FIRST_LOOK_MS - 1 && ms <= FIRST_LOOK_MS * 1.2;
}
