import { join, relative } from 'node:path';

import type { StatePaths } from '../config/state.ts';
import { inDays, minute } from '../platform/dates.ts';
import { version } from '../platform/version.ts';
import type { PassReport } from '../services/certificates/pass.ts';
import type { CertificateStatus, ServiceStatus } from '../services/certificates/status.ts';

export interface Welcome {
  /** Of the first few certificates. */
  readonly status: ServiceStatus;
  readonly page: string;
  /** What keeps the page from serving its certificate, or undefined. */
  readonly hinder: string | undefined;
  /** Path of the log. */
  readonly log: string;
  readonly paths: StatePaths;
  readonly cwd: string;
  /** A podserve command as the reader types it. */
  readonly typed: (words: string) => string;
}

/** What is now true, and what to do next. */
export function welcome({ status, page, hinder, log, paths, cwd, typed }: Welcome): string[] {
  const now = Date.parse(status.at);
  const root = status.roots.find(({ state }) => state === 'signs');
  const rows: [string, string][] = [
    ['page', hinder === undefined ? page : `${page} (not yet: ${hinder})`],
    ...status.certificates.flatMap((certificate) => certificateRows(certificate, paths, now)),
    ...(status.omitted === 0 ? [] : [['', `and ${status.omitted} more: ${typed('status')}`] satisfies [string, string]]),
    ...(root === undefined
      ? []
      : [['root', `${join(paths.certificates, 'ca.pem')} (${root.name}, until ${root.notAfter.slice(0, 10)})`] satisfies [string, string]]),
    ['log', shortest(log, cwd)],
  ];
  const next: [string, string][] = [
    ...(root === undefined ? [] : [['to trust the root', typed('ca trust')] satisfies [string, string]]),
    ['to start Apache with it', typed('apache')],
    ['to see how it stands', typed('status')],
    ['to stop', 'Ctrl-C'],
  ];
  return [`PodServe ${version()} is up: certificate service and status page.`, '', ...columns(rows), '', ...columns(next), ''];
}

function certificateRows(certificate: CertificateStatus, paths: StatePaths, now: number): [string, string][] {
  const { name, published, wanted, renewalAt, condition, why } = certificate;
  const trouble: [string, string][] = condition === 'well' ? [] : [['', `ATTENTION: ${why}`]];
  if (published === null) return [['certificate', `${name}: ${wanted.join(', ')}: nothing is published`], ...trouble];
  const { generation, issuer, names, notAfter, placeholder } = published;
  const renewal = renewalAt === null ? '' : `, renewal ${minute(Date.parse(renewalAt))}`;
  return [
    ['certificate', `${name}: ${names.join(', ')}`],
    ['', `generation ${generation} of ${issuer}${placeholder ? ', a placeholder until an ACME server has answered' : ''}`],
    ['', `expires ${minute(Date.parse(notAfter))} (${inDays(Date.parse(notAfter) - now)})${renewal}`],
    ['', `in ${join(paths.certificates, name)}`],
    ...trouble,
  ];
}

/**
 * One line for each certificate whose generation is another than that seen before, whoever published it.
 * @param seen generations by name; brought up to date
 */
export function renewalLines({ results }: PassReport, seen: Map<string, number>, now: number): string[] {
  return results.flatMap(({ spec, manifest, outcome, decision }) => {
    if (manifest === undefined || seen.get(spec.name) === manifest.generation) return [];
    seen.set(spec.name, manifest.generation);
    const how = outcome === 'published' ? `issued (${decision.reason})` : outcome === 'kept' ? 'published by another process' : outcome;
    const expiry = Date.parse(manifest.notAfter);
    return [
      `${minute(now)}  ${spec.name}: generation ${manifest.generation} of ${manifest.issuer} ${how}; expires ${minute(expiry)} (${inDays(expiry - now)})`,
    ];
  });
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([term]) => term.length));
  return rows.map(([term, value]) => `  ${term.padEnd(width)}  ${value}`);
}

function shortest(path: string, cwd: string): string {
  const here = relative(cwd, path);
  return here.startsWith('..') ? path : here;
}
