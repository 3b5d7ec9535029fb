import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { loadConfig } from '../config/load.ts';
import type { StatePaths } from '../config/state.ts';
import { peekLedger } from '../ledger/open.ts';
import { SECOND } from '../platform/clock.ts';
import { serviceStatus, type ServiceStatus } from '../services/certificates/status.ts';
import { leafServedAt, unseenBecause, type EndpointStatus } from '../services/endpoint-status.ts';
import { entriesAt } from '../services/pods/answer.ts';
import { configFileOf } from '../services/pods/configuration.ts';
import type { Present } from '../services/pods/present.ts';
import { askInside, askPods, servicesOf, type InsideStatus, type PodStanding } from '../services/pods/status.ts';
import type { Context } from './command.ts';
import type { Standing } from './standing.ts';
import { troublesOf } from './troubles.ts';

const ANSWER_WITHIN = 2 * SECOND;
const EVENTS = 8;
const HTTPS = 443;

/** How it stands where pods keep their data. */
export async function standPods({ podman, here }: Present, paths: StatePaths, context: Context): Promise<Standing> {
  const { signal } = context;
  const pods = await askPods(podman, here, signal);
  const answer = await askInside(podman, pods, paths.certificates, signal);
  const inside = answer === undefined || answer === 'silent' ? await fromHost(paths, context) : answer;
  const services = servicesOf(pods);
  const published = await askPublished(pods, inside.status, signal);
  const endpoints = [...inside.endpoints, ...published];
  const unserved = published.filter(({ state }) => state !== 'served');
  return {
    status: inside.status,
    found: { state: 'none' },
    endpoints,
    services,
    pods,
    troubles: [
      ...(answer === 'silent' ? ['podserve status in the container certificates does not answer: what follows is read from here'] : []),
      ...inside.troubles,
      ...pods.flatMap(({ name, containers }) =>
        containers
          .filter(({ ready, service, state }) => !ready && (service !== 'certificates' || state !== 'running'))
          .flatMap(({ service, reasons }) => reasons.map((reason) => `pod ${name}: ${service} is not ready: ${reason}`)),
      ),
      ...unserved.map(({ endpoint, certificate, detail }) => `${endpoint} should serve ${certificate}: ${detail}`),
    ],
  };
}

/** No certificate service runs that could be asked: what it left is read from here. */
async function fromHost(paths: StatePaths, { clock, cwd }: Context): Promise<InsideStatus> {
  const file = configFileOf(paths.state);
  const config = await loadConfig({ ...(existsSync(file) ? { file } : {}), env: await settingsOf(paths), cwd });
  using ledger = peekLedger(paths.ledger);
  const now = clock.now();
  const status = await serviceStatus({ config, paths, ledger }, { now, events: EVENTS });
  return { status, endpoints: [], troubles: troublesOf(status, { state: 'none' }, [], {}, () => false, now) };
}

/** The variables that the pods were played with. */
async function settingsOf({ state }: StatePaths): Promise<Record<string, string>> {
  const file = join(state, 'deploy', 'settings.yaml');
  if (!existsSync(file)) return {};
  const { parse } = await import('yaml');
  return Object.fromEntries(entriesAt(parse(readFileSync(file, 'utf8')), 'data').map(([name, value]) => [name, String(value)]));
}

/** What the ports of this host serve that lead to a web server in a pod: any published certificate is right. */
async function askPublished(pods: readonly PodStanding[], status: ServiceStatus, signal: AbortSignal): Promise<EndpointStatus[]> {
  const leaves = new Map(
    status.certificates.flatMap(({ name, published }) => (published === null ? [] : [[published.leafSha256, name] as const])),
  );
  const [first] = status.certificates;
  if (first === undefined) return [];
  const servername = first.published?.names.find((name) => /[a-z]/i.test(name) && !name.includes(':') && !name.startsWith('*'));
  const ports = pods.flatMap(({ name, ports: open }) =>
    open.filter(({ containerPort }) => containerPort === HTTPS).map((port) => ({ ...port, consumer: name })),
  );
  return Promise.all(
    ports.map(async ({ hostIp, hostPort, consumer }) => {
      const endpoint = `https://${hostIp === '' ? '127.0.0.1' : hostIp}:${hostPort}`;
      const about = { certificate: first.name, consumer, endpoint };
      try {
        const seen = await leafServedAt(endpoint, servername, { timeoutMs: ANSWER_WITHIN, signal });
        const certificate = leaves.get(seen);
        if (certificate !== undefined) return { ...about, certificate, state: 'served' as const, detail: 'serves what is published' };
        return { ...about, state: 'other-certificate' as const, detail: `serves another certificate (SHA-256 ${seen.slice(0, 16)}…)` };
      } catch (error) {
        return { ...about, ...unseenBecause(error) };
      }
    }),
  );
}
