import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { peekLedger } from '../ledger/open.ts';
import { SECOND } from '../platform/clock.ts';
import { askStatus } from '../services/ask-status.ts';
import { serviceStatus } from '../services/certificates/status.ts';
import { endpointsStatus, type EndpointStatus } from '../services/endpoint-status.ts';
import { presentPods } from '../services/pods/present.ts';
import { findInstance, type Found, type Instance } from '../services/instance.ts';
import { withConsumer } from '../services/own-consumers.ts';
import { asTyped } from './as-typed.ts';
import { flag, type Arguments, type Context } from './command.ts';
import { pathsOf, sourceOf } from './settings.ts';
import type { Standing } from './standing.ts';
import { standPods } from './status-pods.ts';
import { statusLines } from './status-words.ts';
import { troublesOf } from './troubles.ts';

const ANSWER_WITHIN = 2 * SECOND;
const EVENTS = 8;

/** `podserve status` */
export async function report(args: Arguments, context: Context): Promise<number> {
  const paths = pathsOf(args, context);
  const present = await presentPods(context, paths, context.signal);
  const standing =
    present.here.length > 0
      ? await standPods(present, paths, context)
      : await stand(await loadConfig(sourceOf(args, context)), args, context);
  if (flag(args, 'json')) {
    const { status: certificates, found, endpoints, services, troubles, pods } = standing;
    const instance = found.state === 'none' ? null : { state: found.state, ...timed(found.instance) };
    context.out(
      JSON.stringify({ ...certificates, attention: troubles.length > 0, troubles, instance, services, endpoints, pods }, null, 2),
    );
  } else {
    const typed = (words: string): string => asTyped(words, args, context);
    for (const line of statusLines(standing, paths, typed)) context.out(line);
    if (standing.found.state === 'none' && standing.pods.length === 0) {
      if (present.trouble !== undefined) context.out(`whether pods run could not be seen: ${present.trouble}`);
      for (const directory of present.elsewhere)
        context.out(`pods run with ${directory}: ${typed('status')} --state ${directory} shows them`);
    }
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
  const isListed = ({ certificate, consumer }: EndpointStatus): boolean =>
    plain.certificates.some(({ name, consumers }) => name === certificate && consumers.includes(consumer));
  return { status: seen, found, endpoints, services, pods: [], troubles: troublesOf(seen, found, endpoints, services, isListed, now) };
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

function timed({ startedAt, ...instance }: Instance): object {
  return { ...instance, startedAt: new Date(startedAt).toISOString(), page: instance.page ?? null };
}
