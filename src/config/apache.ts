import { resolve } from 'node:path';

import { covers, parseIdentifier } from '../certificate/identifier.ts';
import type { CertificateSpec } from '../certificate/spec.ts';
import { SECOND } from '../platform/clock.ts';
import { readDuration } from './certificates.ts';
import type { SiteConfig } from './config.ts';
import { nearest } from './nearest.ts';
import { formatPath, short, type Path } from './problem.ts';
import { attempt, elements, isFlawed, type Scope } from './scope.ts';
import type { Raw } from './shape.ts';

type RawApache = NonNullable<Raw['apache']>;
type RawSite = NonNullable<NonNullable<RawApache['sites']>[number]>;

/** The sites of Apache; one that says it works where the file has none. */
export function interpretSites(scope: Scope, raw: RawApache['sites'], certificates: readonly CertificateSpec[]): SiteConfig[] {
  const owners = new Map<string, Path>();
  const sites = elements(raw, ['apache', 'sites']).map(({ value, path }) => {
    const certificate = findCertificate(scope, value.certificate ?? 'default', [...path, 'certificate'], certificates);
    const site = interpretSite(scope, value, path, certificate);
    claimNames(scope, effectiveNames(site, certificate), path, owners);
    return site;
  });
  if (sites.length > 0) return sites;
  return [{ certificate: 'default', names: [], root: undefined, proxy: undefined }];
}

/** Seconds of HSTS max-age, or undefined for none. */
export function interpretHsts(scope: Scope, raw: RawApache['hsts']): number | undefined {
  if (raw === undefined) return undefined;
  const place = { path: ['apache', 'hsts'] };
  if (typeof raw === 'string') {
    const duration = readDuration(scope, { value: raw, place });
    return duration === undefined ? undefined : duration / SECOND;
  }
  if (raw < 0) scope.report(place, `${raw} seconds is no length of time`, 'leave it out for no HSTS');
  return raw;
}

/** The certificate of that name, reported where there is none. */
export function findCertificate(
  scope: Scope,
  name: string,
  path: Path,
  certificates: readonly CertificateSpec[],
): CertificateSpec | undefined {
  const found = certificates.find((certificate) => certificate.name === name);
  if (found !== undefined || isFlawed(scope, ['certificates'])) return found;
  const meant = nearest(
    name,
    certificates.map((certificate) => certificate.name),
  );
  const remedy = meant === undefined ? 'add it to certificates' : `did you mean ${meant}?`;
  scope.report({ path }, `there is no certificate ${JSON.stringify(short(name))}`, remedy);
  return undefined;
}

/** Reports what no file name may hold; relative ones begin at the configuration file. */
export function readFilePath(scope: Scope, value: string, path: Path): string {
  // oxlint-disable-next-line no-control-regex -- exactly those are looked for
  if (value === '' || /[\u0000-\u001f\u007f]/.test(value)) {
    scope.report({ path }, value === '' ? 'this is empty' : 'this has control characters in it', 'give a path');
  }
  return resolve(scope.directory, value);
}

function interpretSite(scope: Scope, raw: RawSite, path: Path, certificate: CertificateSpec | undefined): SiteConfig {
  if (raw.root !== undefined && raw.proxy !== undefined) {
    scope.report({ path: [...path, 'proxy'] }, 'a site has either root or proxy, this one has both', 'remove one, or make it two sites');
  }
  return {
    certificate: raw.certificate ?? 'default',
    names: readSiteNames(scope, raw.names, [...path, 'names'], certificate),
    root: raw.root === undefined ? undefined : readFilePath(scope, raw.root, [...path, 'root']),
    proxy: raw.proxy === undefined ? undefined : readProxy(scope, raw.proxy, [...path, 'proxy']),
  };
}

function readSiteNames(scope: Scope, raw: RawSite['names'], path: Path, certificate: CertificateSpec | undefined): string[] {
  const names = new Set<string>();
  for (const { value, path: at } of elements(raw, path)) {
    const identifier = attempt(scope, { path: at }, () => parseIdentifier(value));
    if (identifier === undefined) continue;
    if (identifier.type === 'ip') {
      scope.report(
        { path: at },
        `${identifier.value} is an address; sites are told apart by DNS names`,
        'requests for an address reach the first site',
      );
    } else if (certificate !== undefined && !covers(certificate.identifiers, identifier)) {
      scope.report(
        { path: at },
        `the certificate ${certificate.name} does not cover ${short(value)}`,
        'add it to the names of the certificate',
      );
    }
    names.add(identifier.value);
  }
  return [...names];
}

function readProxy(scope: Scope, value: string, path: Path): string {
  const url = URL.parse(value);
  const plain =
    url !== null && url.protocol === 'http:' && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (!plain) {
    scope.report({ path }, `${JSON.stringify(short(value))} is no plain http:// URL`, 'write it like http://127.0.0.1:3000/');
    return value;
  }
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

function effectiveNames(site: SiteConfig, certificate: CertificateSpec | undefined): readonly string[] {
  if (site.names.length > 0) return site.names;
  return (certificate?.identifiers ?? []).filter(({ type }) => type === 'dns').map(({ value }) => value);
}

function claimNames(scope: Scope, names: readonly string[], path: Path, owners: Map<string, Path>): void {
  const taken = names.find((name) => owners.has(name));
  const owner = taken === undefined ? undefined : owners.get(taken);
  if (taken !== undefined && owner !== undefined) {
    scope.report({ path }, `${taken} belongs to ${formatPath(owner)} already`, 'give each site its own names');
  }
  for (const name of names) if (!owners.has(name)) owners.set(name, path);
}
