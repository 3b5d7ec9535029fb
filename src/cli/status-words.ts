import type { StatePaths } from '../config/state.ts';
import { inDays, minute } from '../platform/dates.ts';
import type { IssuerStatus } from '../services/certificates/issuers-status.ts';
import type { CertificateStatus } from '../services/certificates/status.ts';
import type { RootStatus } from '../services/certificates/roots-status.ts';
import type { EndpointStatus } from '../services/endpoint-status.ts';
import type { Found } from '../services/instance.ts';
import type { Standing } from './standing.ts';

/** With more than this, certificates that are well are counted instead of listed. */
const LONGEST_LIST = 50;

const INDENT = '    ';

/** For people. `typed` gives a podserve command as the reader types it. */
export function statusLines(standing: Standing, paths: StatePaths, typed: (words: string) => string): string[] {
  const { status, found, endpoints, services, pods } = standing;
  const now = Date.parse(status.at);
  const troubled = status.certificates.filter(({ condition }) => condition !== 'well');
  const well = status.certificates.filter(({ condition }) => condition === 'well');
  const listed = [...troubled, ...well.slice(0, LONGEST_LIST)];
  return [
    ...(pods.length === 0 ? instanceLines(found, paths, now) : [...pods.flatMap(podLines), `data: ${paths.state}`]),
    ...(pods.length > 0 ? [] : Object.entries(services)).map(
      ([name, { ready, reasons }]) => `${name}: ${ready ? 'ready' : `NOT READY: ${reasons.join('; ')}`}`,
    ),
    '',
    ...listed.flatMap((certificate) => certificateLines(certificate, endpoints, now)),
    ...(well.length > LONGEST_LIST ? [`… and ${well.length - LONGEST_LIST} more that are good`] : []),
    ...status.roots.map((root) => rootLine(root, now)),
    ...status.issuers.flatMap(issuerLine),
    '',
    ...(status.events.length === 0 ? [] : ['what happened last', ...status.events.map(eventLine), '']),
    ...closing(standing, typed),
  ];
}

function instanceLines(found: Found, paths: StatePaths, now: number): string[] {
  if (found.state === 'none') return [`nothing runs in ${paths.state}`];
  const { command, pid, startedAt, version, host, page } = found.instance;
  const place = found.state === 'running' ? `process ${pid}` : `process ${pid} on ${host}`;
  return [
    `podserve ${command} runs in ${paths.state}: ${place}, since ${minute(startedAt)} (${inDays(startedAt - now)}), version ${version}`,
    ...(page === undefined ? [] : [`page: ${page}`]),
  ];
}

function podLines({ name, state, containers, ports }: Standing['pods'][number]): string[] {
  const published = ports.map(
    ({ hostIp, hostPort, containerPort }) => `${hostIp === '' ? '' : `${hostIp}:`}${hostPort} to ${containerPort}`,
  );
  const head = `pod ${name}: ${state.toLowerCase()}${published.length === 0 ? '' : `, ports ${published.join(', ')}`}`;
  return [head, ...containers.map((container) => INDENT + containerWords(container))];
}

function containerWords({ service, state, restarts, startedAt, ready, reasons }: Standing['pods'][number]['containers'][number]): string {
  const since = state === 'running' && startedAt !== undefined ? ` since ${minute(Date.parse(startedAt))}` : '';
  const again = restarts === 0 ? '' : `, started again ${restarts === 1 ? 'once' : `${restarts} times`}`;
  const standing = ready ? 'ready' : `NOT READY: ${reasons.join('; ')}`;
  return `${service}: ${state}${since}${again}, ${standing}`;
}

function certificateLines(
  { name, condition, state, why, published, wanted, renewalAt, failure }: CertificateStatus,
  endpoints: readonly EndpointStatus[],
  now: number,
): string[] {
  const names = (published?.names ?? wanted).join(', ');
  const well = published?.placeholder === true ? 'placeholder' : 'good';
  const head = condition === 'well' ? well : condition === 'failing' ? 'IN TROUBLE' : state.replaceAll('-', ' ').toUpperCase();
  const lines = [`${name}: ${head}: ${names}`];
  if (condition !== 'well') lines.push(why);
  if (failure !== null) lines.push(`${failure.count} failed in a row, the next try is at ${minute(Date.parse(failure.nextTry))}`);
  if (failure !== null && failure.link !== null) lines.push(`a person can end this at ${failure.link}`);
  if (published !== null) {
    const { generation, issuer, placeholder, notAfter } = published;
    const expiry = Date.parse(notAfter);
    const renewal = renewalAt === null ? '' : `, renewal ${minute(Date.parse(renewalAt))}`;
    lines.push(
      `generation ${generation} of ${issuer}${placeholder ? ' (placeholder)' : ''}, expires ${minute(expiry)} (${inDays(expiry - now)})${renewal}`,
    );
  }
  for (const { certificate, endpoint, state: seen, detail } of endpoints) {
    if (certificate === name) lines.push(`${endpoint}: ${seen === 'silent' ? `does not answer (${detail})` : detail}`);
  }
  return [lines[0] ?? '', ...lines.slice(1).map((line) => INDENT + line)];
}

function rootLine({ name, state, notAfter, signsFrom }: RootStatus, now: number): string {
  const use = state === 'announced' && signsFrom !== null ? `announced, signs from ${minute(Date.parse(signsFrom))} on` : state;
  return `root ${name}: ${use}; expires ${notAfter.slice(0, 10)} (${inDays(Date.parse(notAfter) - now)})`;
}

function issuerLine({ name, held }: IssuerStatus): string[] {
  if (held === null) return [];
  const link = held.link === null ? '' : `; a person can end this at ${held.link}`;
  return [`issuer ${name}: takes no orders until ${minute(Date.parse(held.until))}: ${held.why}${link}`];
}

function eventLine({ at, certificate, kind, detail }: Standing['status']['events'][number]): string {
  return `${INDENT}${minute(Date.parse(at))}  ${certificate ?? 'service'}  ${kind}: ${detail}`;
}

function closing({ found, troubles, pods }: Standing, typed: (words: string) => string): string[] {
  const renews =
    found.state !== 'none' ||
    pods.some(({ containers }) => containers.some((one) => one.service === 'certificates' && one.state === 'running'));
  const start = renews ? [] : [`nothing renews by itself until it runs: ${typed(pods.length === 0 ? 'up' : 'up --pods')}`];
  if (troubles.length === 0) return ['all is well', ...start];
  const logs = pods.length > 0 || (found.state === 'running' && found.instance.command === 'up');
  return [
    ...troubles.map((trouble) => `ATTENTION: ${trouble}`),
    ...start,
    ...(pods.length === 0 ? [`what would be done, and why: ${typed('certificates --mode renew --dry-run')}`] : []),
    ...(logs ? [`the log: ${typed('logs')}`] : []),
  ];
}
