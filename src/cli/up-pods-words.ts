import { join } from 'node:path';

import type { StatePaths } from '../config/state.ts';
import { inDays, minute } from '../platform/dates.ts';
import { PodserveError, describeError } from '../platform/errors.ts';
import { listNames } from '../publication/layout.ts';
import { readCurrent } from '../publication/read.ts';
import type { BootReport } from '../services/pods/boot.ts';
import type { Pod } from '../services/pods/pods.ts';

export interface PodsWelcome {
  readonly report: BootReport;
  readonly pods: readonly Pod[];
  readonly paths: StatePaths;
  readonly now: number;
  /** A podserve command as the reader types it. */
  readonly typed: (words: string) => string;
}

const MOST_CERTIFICATES = 6;

type Row = readonly [string, string];

/** What is now true, and what to do next. */
export async function podsWelcome({ report, pods, paths, now, typed }: PodsWelcome): Promise<string[]> {
  const unready = report.pods.filter(({ ready }) => !ready).length;
  const changed = report.pods.some(({ outcome }) => outcome !== 'unchanged');
  const head =
    unready > 0
      ? `${unready} of ${report.pods.length} pods are not ready.`
      : changed
        ? 'The pods are up.'
        : 'Nothing was changed: the pods are up.';
  const names = listNames(paths.certificates);
  const certificates = await Promise.all(names.slice(0, MOST_CERTIFICATES).map(async (name) => certificateRows(paths, name, now)));
  const rows: Row[] = [
    ...pods.flatMap(addressRows),
    ...certificates.flat(),
    ...(names.length > MOST_CERTIFICATES ? [['', `and ${names.length - MOST_CERTIFICATES} more: ${typed('status')}`] satisfies Row] : []),
    ['root', join(paths.certificates, 'ca.pem')],
    ['data', paths.state],
  ];
  const next: Row[] = [
    ['to trust the root', typed('ca trust')],
    ['to see how it stands', typed('status')],
    ['to see what they say', typed('logs --follow')],
    ['to stop; all data stays', typed('down')],
  ];
  return ['', head, '', ...columns(rows), '', ...columns(next), ''];
}

function addressRows({ name, ports }: Pod): Row[] {
  return ports
    .filter(({ containerPort }) => containerPort === 443)
    .map(({ hostIp, hostPort }) => [name, `https://${hostIp === '' ? 'localhost' : hostIp}${hostPort === 443 ? '' : `:${hostPort}`}`]);
}

async function certificateRows({ certificates }: StatePaths, name: string, now: number): Promise<Row[]> {
  try {
    const generation = await readCurrent(certificates, name);
    if (generation === undefined) return [['certificate', `${name}: nothing is published`]];
    const { identifiers, issuer, placeholder, notAfter } = generation.manifest;
    const expiry = Date.parse(notAfter);
    return [
      ['certificate', `${name}: ${identifiers.join(', ')}`],
      ['', `generation ${generation.number} of ${issuer}${placeholder ? ', a placeholder until an ACME server has answered' : ''}`],
      ['', `expires ${minute(expiry)} (${inDays(expiry - now)})`],
    ];
  } catch (error) {
    if (!(error instanceof PodserveError)) throw error;
    return [['certificate', `${name}: ATTENTION: ${describeError(error)}`]];
  }
}

function columns(rows: readonly Row[]): string[] {
  const width = Math.max(...rows.map(([term]) => term.length));
  return rows.map(([term, value]) => `  ${term.padEnd(width)}  ${value}`);
}
