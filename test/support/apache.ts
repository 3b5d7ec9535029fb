import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { leafSha256, type Bundle } from '../../src/certificate/bundle.ts';
import { parseIdentifiers } from '../../src/certificate/identifier.ts';
import { parseEndpoint, type Endpoint } from '../../src/delivery/endpoint.ts';
import { servedLeafSha256 } from '../../src/delivery/probe.ts';
import { selfSigned } from '../../src/issuers/self-signed.ts';
import { DAY, HOUR } from '../../src/platform/clock.ts';
import type { CertificateReport } from '../../src/services/consumer/report.ts';
import type { DaemonReport } from '../../src/services/service.ts';
import { PODSERVE, start, type RunOptions, type Running } from './command.ts';
import { freePort, scratchDirectory } from './scratch.ts';

export interface SiteWish {
  readonly certificate: string;
  readonly names?: readonly string[];
  readonly root?: string;
  readonly proxy?: string;
}

export interface StackWish {
  /** Names by certificate. */
  readonly certificates?: Readonly<Record<string, readonly string[]>>;
  readonly sites?: readonly SiteWish[];
  readonly hsts?: number;
  /** Where plain HTTP listens. Default: 127.0.0.1. */
  readonly httpHost?: string;
}

/** A state directory, ports and a configuration for one `podserve apache`. */
export interface Stack {
  readonly directory: string;
  readonly state: string;
  /** The publication. */
  readonly root: string;
  readonly run: string;
  readonly config: string;
  readonly http: number;
  readonly https: number;
  readonly status: number;
  readonly endpoint: Endpoint;
  configure(wish: StackWish): void;
  start(options?: RunOptions): Running;
  get(path: '/healthz' | '/readyz' | '/status' | '/metrics'): Promise<{ code: number; text: string }>;
  report(): Promise<StatusAnswer>;
  /** Asks /status until it is as wished; fails with the last answer. */
  until(wish: (status: StatusAnswer) => boolean, ms?: number): Promise<StatusAnswer>;
  /** The leaf that is served for a name now, by our own handshake. */
  served(servername?: string): Promise<string>;
}

export interface StatusAnswer {
  readonly pid: number;
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly certificates: readonly CertificateReport[];
  readonly daemons: readonly (Omit<DaemonReport, 'since'> & { since: string })[];
  readonly alarms: readonly string[];
}

export async function apacheStack(t: TestContext, wish: StackWish = {}): Promise<Stack> {
  const directory = scratchDirectory(t);
  const [http, https, status] = [await freePort(), await freePort(), await freePort()];
  const state = join(directory, 'state');
  const root = join(state, 'certificates');
  const config = join(directory, 'podserve.yaml');
  for (const path of [root, join(state, 'challenges')]) mkdirSync(path, { recursive: true });
  // Apache's workers are another user when root runs the tests.
  chmodSync(directory, 0o711);
  const endpoint = parseEndpoint(`https://127.0.0.1:${https}`);
  const get = async (path: string): Promise<{ code: number; text: string }> => {
    const answer = await fetch(`http://127.0.0.1:${status}${path}`);
    return { code: answer.status, text: await answer.text() };
  };
  const report = async (): Promise<StatusAnswer> => JSON.parse((await get('/status')).text) as StatusAnswer;
  const stack: Stack = {
    directory,
    state,
    root,
    run: join(directory, 'run'),
    config,
    http,
    https,
    status,
    endpoint,
    configure({ certificates = { default: ['localhost'] }, sites = [{ certificate: 'default' }], hsts, httpHost = '127.0.0.1' }) {
      const text = {
        certificates: Object.entries(certificates).map(([name, names]) => ({ name, names, issuers: ['self-signed'] })),
        apache: {
          http: `${httpHost}:${http}`,
          https: `127.0.0.1:${https}`,
          status: `127.0.0.1:${status}`,
          ...(hsts === undefined ? {} : { hsts }),
          sites,
        },
      };
      // JSON is YAML.
      writeFileSync(config, JSON.stringify(text));
    },
    start: (options = {}) => start(t, PODSERVE, ['apache', '--config', config, '--state', state, '--run', join(directory, 'run')], options),
    get,
    report,
    async until(wished, ms = 15_000) {
      let last: unknown;
      for (const deadline = Date.now() + ms; Date.now() < deadline; await setTimeout(20)) {
        try {
          const answer = await report();
          last = answer;
          if (wished(answer)) return answer;
        } catch (error) {
          last = error;
        }
      }
      throw new Error(`/status did not become as wished within ${ms} ms`, { cause: last });
    },
    served: (servername) => servedLeafSha256(endpoint, { servername, timeoutMs: 3000 }),
  };
  stack.configure(wish);
  return stack;
}

/** A self-signed bundle. Times are relative to now, ms. */
export function newBundle(names: readonly string[] = ['localhost'], { from = -HOUR, lifetime = 30 * DAY } = {}): Promise<Bundle> {
  const spec = {
    name: 'test',
    identifiers: parseIdentifiers(names),
    keyType: 'ecdsa-p256',
    issuers: ['self-signed'],
    lifetime,
    renewBefore: 0,
    consumers: [],
  } as const;
  return selfSigned().issue(spec, { now: Date.now() + from, lifetime });
}

export function fingerprint(bundle: Bundle): string {
  return leafSha256(bundle.leaf);
}
