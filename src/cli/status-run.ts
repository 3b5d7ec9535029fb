import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { peekLedger } from '../ledger/open.ts';
import { SECOND } from '../platform/clock.ts';
import { askStatus } from '../services/ask-status.ts';
import { serviceStatus, type ServiceStatus } from '../services/certificates/status.ts';
import { endpointsStatus, type EndpointStatus } from '../services/endpoint-status.ts';
import { findInstance, type Found, type Instance } from '../services/instance.ts';
import { withConsumer } from '../services/own-consumers.ts';
import { asTyped } from './as-typed.ts';
import { flag, type Arguments, type Context } from './command.ts';
import { pathsOf, sourceOf } from './settings.ts';
import type { Standing } from './standing.ts';
import { statusLines } from './status-words.ts';

const ANSWER_WITHIN = 2 * SECOND;
const EVENTS = 8;

/** `podserve status` */
export async function report(args: Arguments, context: Context): Promise<number> {
  const config = await loadConfig(sourceOf(args, context));
  const standing = await stand(config, args, context);
  if (flag(args, 'json')) {
    const { status: certificates, found, endpoints, services, troubles } = standing;
    const instance = found.state === 'none' ? null : { state: found.state, ...timed(found.instance) };
    context.out(JSON.stringify({ ...certificates, attention: troubles.length > 0, troubles, instance, services, endpoints }, null, 2));
  } else {
    const typed = (words: string): string => asTyped(words, args, context);
    for (const line of statusLines(standing, pathsOf(args, context), typed)) context.out(line);
  }
  return standing.troubles.length === 0 ? 0 : 1;
}

async function stand(plain: Config, args: Arguments, context: Context): Promise<Standing> {
  const { clock, signal } = context;
  const paths = pathsOf(args, context);
  const found = findInstance(paths);
  using ledger = peekLedger(paths.ledger);
  const [own, apache] = await Promise.all([
    askAll(found.state === 'running' ? found.instance.statusPorts : {}),
    askStatus(`http://${plain.apache.status}`, '/status', ANSWER_WITHIN),
  ]);
  // Another user of this host may run one on another publication: that is none of ours.
  const isOurs = apache.answers && apache.publication === paths.certificates;
  const services = isOurs ? { ...own, apache } : own;
  const config = listOwn(plain, found, isOurs);
  const now = clock.now();
  const seen = await serviceStatus({ config, paths, ledger }, { now, events: EVENTS });
  const endpoints = await endpointsStatus(config, seen, { timeoutMs: ANSWER_WITHIN, signal });
  return { status: seen, found, endpoints, services, troubles: troublesOf(plain, seen, found, endpoints, services, now) };
}

/** The page and Apache serve certificates while they run, whether the configuration lists them or not. */
function listOwn(config: Config, found: Found, apacheRuns: boolean): Config {
  const withPage =
    found.state === 'running' && found.instance.page !== undefined ? withConsumer(config, 'admin', [config.admin.certificate]) : config;
  return apacheRuns
    ? withConsumer(
        withPage,
        'apache',
        config.apache.sites.map(({ certificate }) => certificate),
      )
    : withPage;
}

async function askAll(ports: Instance['statusPorts']): Promise<Standing['services']> {
  const asked = await Promise.all(
    Object.entries(ports).map(async ([name, url]) => [name, await askStatus(url, '/readyz', ANSWER_WITHIN)] as const),
  );
  return Object.fromEntries(asked.flatMap(([name, answer]) => (answer.answers ? [[name, answer]] : [])));
}

function troublesOf(
  config: Config,
  status: ServiceStatus,
  found: Found,
  endpoints: readonly EndpointStatus[],
  services: Standing['services'],
  now: number,
): string[] {
  const certificates = status.certificates.filter(({ condition }) => condition !== 'well');
  const overdue =
    found.state === 'none'
      ? status.certificates.filter(({ renewalAt, condition }) => condition === 'well' && renewalAt !== null && Date.parse(renewalAt) < now)
      : [];
  // Who is listed as a consumer shall serve while the stack runs; the page and Apache that are not listed need not run.
  const shallServe = ({ certificate, consumer }: EndpointStatus): boolean =>
    found.state === 'running' && config.certificates.some(({ name, consumers }) => name === certificate && consumers.includes(consumer));
  const unserved = endpoints.filter(
    (one) =>
      one.state === 'other-certificate' ||
      one.state === 'failed' ||
      (one.state === 'silent' && (one.consumer in services || shallServe(one))),
  );
  return [
    ...status.alarms,
    ...certificates.map(({ name, state, failure, why }) => {
      const reason = failure === null ? why : 'its renewal fails, as said above';
      return `certificate ${name}${state === 'good' ? '' : ` is ${state}`}: ${reason}`;
    }),
    ...overdue.map(({ name }) => `certificate ${name}: its renewal time is over and nothing runs that would renew it`),
    ...unserved.map(({ endpoint, certificate, detail }) => `${endpoint} should serve ${certificate}: ${detail}`),
    ...Object.entries(services).flatMap(([name, { ready, reasons }]) =>
      // The certificates' own reasons are those above, seen by the service a little earlier.
      ready || name === 'certificates' ? [] : reasons.map((reason) => `${name} is not ready: ${reason}`),
    ),
  ];
}

function timed({ startedAt, ...instance }: Instance): object {
  return { ...instance, startedAt: new Date(startedAt).toISOString(), page: instance.page ?? null };
}
