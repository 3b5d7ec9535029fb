/**
 * One process that gets COUNT certificates from an ACME server through the certificate service, AT_ONCE at a time:
 * `acme-orders.ts CONFIG STATE AT_ONCE`. The certificates are those of the configuration but for the last, whose order comes first
 * and is not counted: it makes the account. Placeholders are in place by then, as in life. Prints what it took as JSON.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';

import { loadConfig } from '../../src/config/load.ts';
import { statePaths } from '../../src/config/state.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { silentLog } from '../../src/platform/log.ts';
import { openCertificateService, publisherOf } from '../../src/services/certificates/open.ts';
import { openOrders } from '../../src/services/certificates/orders.ts';
import { runPass } from '../../src/services/certificates/pass.ts';
import type { Result } from '../../src/services/certificates/result.ts';
import type { CertificateService } from '../../src/services/certificates/service.ts';
import { median } from './measure.ts';

/** What a process of orders tells on its standard output. */
export interface OrdersTook {
  readonly wallMs: number;
  /** User and system time of the process. */
  readonly cpuMs: number;
  /** Those for what all orders share: the directory and first nonces. */
  readonly sharedRequests: number;
  /** RFC 9773: when to renew. */
  readonly adviceRequests: number;
  readonly orderRequests: number;
  /** From the answer to a challenge until the order is asked about, the middle; of use for one order at a time. */
  readonly provenLookMs: number;
  /** From the answer to the finalization until the order is asked about, the middle. */
  readonly signedLookMs: number;
}

interface Looks {
  shared: number;
  advice: number;
  all: number;
  readonly proven: number[];
  readonly signed: number[];
}

/** Notes the client's requests, by the paths that Pebble has. */
function watchRequests(): Looks {
  const looks: Looks = { shared: 0, advice: 0, all: 0, proven: [], signed: [] };
  let challenged: number | undefined;
  const finalized = new Map<string, number>();
  subscribe('http.client.request.start', (message) => {
    const { kind, order } = pathOf(message);
    const now = performance.now();
    looks.all += 1;
    if (kind === 'dir' || kind === 'nonce-plz') looks.shared += 1;
    if (order === 'renewalInfo') looks.advice += 1;
    if (kind !== 'my-order') return;
    const since = finalized.get(order);
    if (since !== undefined) looks.signed.push(now - since);
    else if (challenged !== undefined) looks.proven.push(now - challenged);
    // Only first looks count.
    finalized.delete(order);
    challenged = undefined;
  });
  subscribe('http.client.response.finish', (message) => {
    const { kind, order } = pathOf(message);
    if (kind === 'chalZ') challenged = performance.now();
    if (kind === 'finalize-order') finalized.set(order, performance.now());
  });
  return looks;
}

function pathOf(message: unknown): { kind: string; order: string } {
  const [, kind = '', order = ''] = (message as { request: ClientRequest }).request.path.split('/');
  return { kind, order };
}

async function obtain(service: CertificateService, names: readonly string[], atOnce: number): Promise<void> {
  const results: Result[] = [];
  await using orders = openOrders({ settled: (result) => results.push(result), atOnce });
  await runPass(service, { names: new Set(names), orders });
  await orders.idle();
  const other = results.find(({ outcome }) => outcome !== 'published');
  if (other !== undefined || results.length !== names.length) {
    throw new Error(`${results.length} of ${names.length} certificates came; ${other?.spec.name} is ${other?.outcome}`, {
      cause: other !== undefined && 'error' in other ? other.error : undefined,
    });
  }
}

const [file = '', state = '', atOnce = ''] = process.argv.slice(2);
const config = await loadConfig({ env: {}, cwd: state, file });
using opened = await openCertificateService({
  config,
  paths: statePaths(state, '/'),
  clock: systemClock,
  log: silentLog,
  signal: new AbortController().signal,
  publisher: publisherOf('bench', {}),
  // Done once for a name, and by none of the peers.
  preflight: async () => [],
});
const { service } = opened;
await runPass(service, { orders: 'later' });
const names = config.certificates.map(({ name }) => name);
await obtain(service, names.slice(-1), 1);
const looks = watchRequests();
const [began, before] = [performance.now(), process.cpuUsage()];
await obtain(service, names.slice(0, -1), Number(atOnce));
const wallMs = performance.now() - began;
const { user, system } = process.cpuUsage(before);
const took: OrdersTook = {
  wallMs,
  cpuMs: (user + system) / 1000,
  sharedRequests: looks.shared,
  adviceRequests: looks.advice,
  orderRequests: looks.all - looks.shared - looks.advice,
  provenLookMs: median(looks.proven),
  signedLookMs: median(looks.signed),
};
console.log(JSON.stringify(took));
