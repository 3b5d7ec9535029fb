import { parseIdentifier, type Identifier } from '../certificate/identifier.ts';
import { CERTIFICATE_NAME, isLocalIssuer, type CertificateSpec } from '../certificate/spec.ts';
import { formatDuration, parseDuration } from '../platform/duration.ts';
import { DEFAULTS, LONGEST_LIFETIME } from './defaults.ts';
import type { IssuerNames } from './issuer-names.ts';
import { nearest } from './nearest.ts';
import { formatPath, short, type Path, type Place } from './problem.ts';
import { attempt, elements, isFlawed, sourced, type Scope, type Sourced } from './scope.ts';
import type { Raw } from './shape.ts';
import { VARIABLES } from './variables.ts';

type RawCertificate = NonNullable<NonNullable<Raw['certificates']>[number]>;

/** A certificate that names an ACME issuer, and where. */
export interface IssuerUse {
  readonly certificate: string;
  readonly issuer: string;
  readonly place: Place;
}

interface Wishes {
  readonly scope: Scope;
  readonly domain: string;
  /** Names that `consumers` may hold. */
  readonly consumers: readonly string[];
  readonly issuers: IssuerNames;
  /** Called for each ACME issuer of a certificate. */
  readonly onUse: (use: IssuerUse) => void;
  /** One array for all certificates that list the same: there may be thousands. */
  shared(list: readonly string[]): readonly string[];
}

/** The certificates of the file and `default`, which comes first and is made for the domain where the file has none. */
export function interpretCertificates(
  scope: Scope,
  raw: Raw['certificates'],
  context: Pick<Wishes, 'domain' | 'consumers' | 'issuers' | 'onUse'>,
): CertificateSpec[] {
  const wishes: Wishes = { scope, ...context, shared: sharing() };
  const specs = new Map<string, CertificateSpec>();
  const first = new Map<string, Path>();
  for (const { value, path } of elements(raw, ['certificates'])) {
    const { name } = value;
    if (name === undefined || !isName(scope, name, [...path, 'name'])) continue;
    const earlier = first.get(name);
    if (earlier !== undefined) {
      scope.report({ path: [...path, 'name'] }, `there is a certificate ${name} already: ${formatPath(earlier)}`, 'give each its own name');
      continue;
    }
    first.set(name, path);
    specs.set(name, interpretCertificate(wishes, { ...value, name }, path));
  }
  const main = specs.get('default') ?? interpretCertificate(wishes, { name: 'default' }, ['certificates']);
  specs.delete('default');
  return [main, ...specs.values()];
}

/** Whether `name` may be a name of a certificate or consumer; reports it where not. */
export function isName(scope: Scope, name: string, path: Path): boolean {
  if (CERTIFICATE_NAME.test(name)) return true;
  const length = name.length > 63 ? `, it has ${name.length}` : '';
  scope.report(
    { path },
    `${JSON.stringify(short(name))} cannot be a name${length}`,
    'use at most 63 lower-case letters, digits and hyphens, not beginning with a hyphen',
  );
  return false;
}

function interpretCertificate(wishes: Wishes, raw: RawCertificate & { name: string }, path: Path): CertificateSpec {
  const { scope } = wishes;
  // The environment sets fields of `default` alone (DESIGN §8).
  const own: Scope = raw.name === 'default' ? scope : { ...scope, settings: {} };
  const lifetime = readLifetime(scope, raw.lifetime, [...path, 'lifetime']);
  const issuers = readIssuers(wishes, own, raw, [...path, 'issuers']);
  if (issuers.length > 0 && !issuers.some(isLocalIssuer)) warnOfLocalSettings(own, raw, path);
  return {
    name: raw.name,
    identifiers: readNames(wishes, own, raw, path),
    keyType: own.settings.keyType ?? raw.keyType ?? DEFAULTS.keyType,
    issuers: wishes.shared(issuers),
    lifetime,
    renewBefore: readRenewBefore(own, raw.renewBefore, [...path, 'renewBefore'], lifetime),
    consumers: wishes.shared(readConsumers(wishes, own, raw.consumers, [...path, 'consumers'])),
  };
}

function readNames(wishes: Wishes, own: Scope, raw: RawCertificate & { name: string }, path: Path): Identifier[] {
  const here = [...path, 'names'];
  const names: Sourced<string>[] =
    own.settings.names?.map((value) => ({ value, place: { variable: 'CERT_NAMES' } })) ??
    elements(raw.names, here).map(({ value, path: at }) => ({ value, place: { path: at } }));
  if (own.settings.names === undefined && raw.names === undefined && raw.name === 'default') return defaultNames(wishes.domain);
  const identifiers = new Map<string, Identifier>();
  for (const { value, place } of names) {
    const identifier = attempt(own, place, () => parseIdentifier(value));
    if (identifier !== undefined) identifiers.set(identifier.value, identifier);
  }
  if (names.length === 0 && !missedNames(own, path)) {
    const place: Place = own.settings.names === undefined ? { path: raw.names === undefined ? path : here } : { variable: 'CERT_NAMES' };
    own.report(place, `the certificate ${raw.name} has no names`, 'list DNS names or addresses in names');
  }
  return [...identifiers.values()];
}

/** The names were probably given, and the schema has said what is wrong with them. */
function missedNames(scope: Scope, path: Path): boolean {
  return (
    isFlawed(scope, [...path, 'names']) ||
    scope.shapeProblems.some(({ place, remedy }) => {
      return remedy === 'did you mean names?' && 'path' in place && path.every((step, depth) => place.path[depth] === step);
    })
  );
}

function defaultNames(domain: string): Identifier[] {
  return [domain, ...(domain === DEFAULTS.domain ? DEFAULTS.localNames : [])].map(parseIdentifier);
}

function readIssuers(wishes: Wishes, scope: Scope, raw: RawCertificate & { name: string }, path: Path): readonly string[] {
  const { issuer } = scope.settings;
  if (issuer === undefined && raw.issuers === undefined) return DEFAULTS.issuers;
  const given: Sourced<string>[] =
    issuer === undefined
      ? elements(raw.issuers, path).map(({ value, path: at }) => ({ value, place: { path: at } }))
      : [{ value: issuer, place: { variable: 'CERT_ISSUER' } }];
  if (given.length === 0 && !isFlawed(scope, path)) {
    scope.report({ path }, 'there is no issuer in it', 'list local-ca, self-signed, letsencrypt or another ACME server');
  }
  const names = new Map<string, Place>();
  for (const { value, place } of given) {
    const name = wishes.issuers.find(value, place);
    if (name !== undefined && !names.has(name)) names.set(name, place);
  }
  for (const [name, place] of names) if (!isLocalIssuer(name)) wishes.onUse({ certificate: raw.name, issuer: name, place });
  return [...names.keys()];
}

/** ACME servers decide how long their certificates live, and advise when to renew them. */
function warnOfLocalSettings(scope: Scope, raw: RawCertificate, path: Path): void {
  const { settings } = scope;
  const given = [
    raw.lifetime === undefined ? undefined : formatPath([...path, 'lifetime']),
    settings.renewBefore === undefined ? undefined : 'CERT_RENEW_BEFORE',
    settings.renewBefore !== undefined || raw.renewBefore === undefined ? undefined : formatPath([...path, 'renewBefore']),
  ];
  for (const where of given)
    if (where !== undefined) scope.warn(`${where} is not used: ACME servers say how long they certify, and when to renew`);
}

function readConsumers({ scope, consumers }: Wishes, own: Scope, raw: RawCertificate['consumers'], path: Path): readonly string[] {
  const given: Sourced<string>[] =
    own.settings.consumers?.map(({ name }) => ({ value: name, place: { variable: VARIABLES.consumers } })) ??
    elements(raw, path).map(({ value, path: at }) => ({ value, place: { path: at } }));
  for (const { value, place } of given) {
    if (consumers.includes(value) || isFlawed(scope, ['consumers'])) continue;
    const meant = nearest(value, consumers);
    const remedy = meant === undefined ? 'add it to consumers, with its endpoints' : `did you mean ${meant}?`;
    scope.report(place, `there is no consumer ${JSON.stringify(short(value))}`, remedy);
  }
  return unique(given.map(({ value }) => value));
}

function readLifetime(scope: Scope, raw: string | undefined, path: Path): number {
  if (raw === undefined) return DEFAULTS.lifetime;
  const lifetime = readDuration(scope, { value: raw, place: { path } });
  if (lifetime === undefined) return DEFAULTS.lifetime;
  if (lifetime <= LONGEST_LIFETIME) return lifetime;
  scope.report(
    { path },
    `${raw} is longer than ${formatDuration(LONGEST_LIFETIME)}: browsers refuse such certificates`,
    'give a shorter one',
  );
  return DEFAULTS.lifetime;
}

function readRenewBefore(scope: Scope, raw: string | undefined, path: Path, lifetime: number): number {
  const given = sourced(scope, 'renewBefore', raw, path);
  const renewBefore = given === undefined ? undefined : readDuration(scope, given);
  // A short lifetime alone is no contradiction: the default lead shrinks with it (DESIGN §6: at most a third).
  if (given === undefined || renewBefore === undefined) return Math.min(DEFAULTS.renewBefore, Math.floor(lifetime / 3));
  if (renewBefore < lifetime) return renewBefore;
  scope.report(
    given.place,
    `${given.value} is not shorter than the lifetime, ${formatDuration(lifetime)}`,
    'give less than a third of the lifetime',
  );
  return DEFAULTS.renewBefore;
}

/** Reads a length of time, reporting what is none. */
export function readDuration(scope: Scope, { value, place }: Sourced<string>): number | undefined {
  const duration = parseDuration(value);
  if (duration === undefined)
    scope.report(place, `${JSON.stringify(short(value))} is no length of time`, 'write it like 7d, 12h, 90m or 30s');
  return duration;
}

function sharing(): (list: readonly string[]) => readonly string[] {
  const known = new Map<string, readonly string[]>();
  return (list) => {
    const key = list.join('\n');
    const same = known.get(key);
    if (same === undefined) known.set(key, list);
    return same ?? list;
  };
}

function unique(list: readonly string[]): readonly string[] {
  return [...new Set(list)];
}
