import type { RateLimit, UseKind } from '../certificate/rate-limits.ts';
import { isLocalIssuer } from '../certificate/spec.ts';
import { parseDuration } from '../platform/duration.ts';
import { readFilePath } from './apache.ts';
import { isName } from './certificates.ts';
import { interpretChallenge } from './challenge.ts';
import type { AcmeIssuerConfig } from './config.ts';
import type { EnvironmentSettings } from './environment.ts';
import type { HostTraits } from './host.ts';
import { readDirectory } from './issuer-names.ts';
import { short, type Path } from './problem.ts';
import { isFlawed, sourced, type Scope } from './scope.ts';
import type { Raw, RawIssuer } from './shape.ts';
import { ACME_SETTINGS, VARIABLES } from './variables.ts';
import { WELL_KNOWN, knownLimits, wellKnownDirectory } from './well-known.ts';

export interface IssuersContext {
  /** Issuers without an entry in the file that certificates mean, with their directories. */
  readonly found: ReadonlyMap<string, string>;
  /** The issuer that `CERT_ISSUER` names: the environment sets its fields (DESIGN §8). */
  readonly fromEnvironment: string | undefined;
  readonly email: string | undefined;
  readonly traits: HostTraits;
}

/** What the keys of `limits` count. */
export const LIMIT_KINDS = {
  accounts: 'account',
  orders: 'order',
  certificates: 'certificate',
  duplicates: 'duplicate',
  failures: 'failure',
} as const satisfies Readonly<Record<string, UseKind>>;

/** The ACME servers of the file, and those that certificates name without one. */
export function interpretIssuers(scope: Scope, raw: Raw['issuers'], context: IssuersContext): Record<string, AcmeIssuerConfig> {
  const issuers = Object.create(null) as Record<string, AcmeIssuerConfig>;
  const add = (name: string, entry: RawIssuer, directory: string): void => {
    const own: Scope = context.fromEnvironment === name ? scope : { ...scope, settings: {} };
    issuers[name] = interpretIssuer(own, { ...entry, name, directory }, context);
  };
  for (const [name, entry] of Object.entries(raw ?? {})) {
    const path = ['issuers', name];
    if (!isIssuerName(scope, name, path) || entry === undefined) continue;
    add(name, entry, directoryOf(scope, name, entry.directory, path));
  }
  for (const [name, directory] of context.found) add(name, {}, directory);
  if (context.fromEnvironment === undefined || issuers[context.fromEnvironment] === undefined) warnOfSettings(scope);
  return issuers;
}

function isIssuerName(scope: Scope, name: string, path: Path): boolean {
  if (!isLocalIssuer(name)) return isName(scope, name, path);
  scope.report(
    { path, of: 'key' },
    `${name} is built in and takes no configuration`,
    'remove it here; certificates may name it all the same',
  );
  return false;
}

function directoryOf(scope: Scope, name: string, raw: string | undefined, path: Path): string {
  const here = [...path, 'directory'];
  const wellKnown = wellKnownDirectory(name);
  if (raw !== undefined) return readDirectory(scope, raw, { path: here }) ?? raw;
  if (wellKnown === undefined && !isFlawed(scope, path)) {
    scope.report({ path }, `the issuer ${name} has no directory`, 'give the https:// URL of the ACME server in directory');
  }
  return wellKnown ?? '';
}

function interpretIssuer(
  scope: Scope,
  raw: RawIssuer & { name: string; directory: string },
  { email, traits }: IssuersContext,
): AcmeIssuerConfig {
  const path = ['issuers', raw.name];
  const profile = sourced(scope, 'profile', raw.profile, [...path, 'profile']);
  if (profile !== undefined) checkText(scope, profile.value, profile.place);
  if (raw.preferredChain !== undefined) checkText(scope, raw.preferredChain, { path: [...path, 'preferredChain'] });
  return {
    name: raw.name,
    directory: raw.directory,
    caFile: scope.settings.acmeCaFile ?? readOptionalFile(scope, raw.caFile, [...path, 'caFile']),
    email: readEmail(scope, raw.email, [...path, 'email']) ?? email,
    eab: readEab(scope, raw.eab, [...path, 'eab']),
    profile: profile?.value,
    preferredChain: raw.preferredChain,
    challenge: interpretChallenge(scope, raw, path, traits),
    limits: readLimits(scope, raw.limits, [...path, 'limits'], knownLimits(raw.directory)),
    rehearse: readRehearse(scope, raw.rehearse, [...path, 'rehearse'], raw.directory),
  };
}

export function isEmail(text: string): boolean {
  return /^[^\s@]+@[^\s@]+$/.test(text) && text.length <= 254;
}

function readEmail(scope: Scope, raw: string | undefined, path: Path): string | undefined {
  if (raw !== undefined && !isEmail(raw)) {
    scope.report({ path }, `${JSON.stringify(short(raw))} is no e-mail address`, 'write it like admin@example.org');
  }
  return raw;
}

function readEab(scope: Scope, raw: RawIssuer['eab'], path: Path): AcmeIssuerConfig['eab'] {
  const kid = sourced(scope, 'eabKid', raw?.kid, [...path, 'kid']);
  const hmacFile = scope.settings.eabHmacFile ?? readOptionalFile(scope, raw?.hmacFile, [...path, 'hmacFile']);
  if (kid !== undefined) checkText(scope, kid.value, kid.place);
  if (kid !== undefined && hmacFile !== undefined) return { kid: kid.value, hmacFile };
  if ((raw === undefined && kid === undefined && hmacFile === undefined) || isFlawed(scope, path)) return undefined;
  const given = kid?.place ?? (scope.settings.eabHmacFile === undefined ? { path } : { variable: VARIABLES.eabHmacFile });
  const missing = kid === undefined ? 'the key identifier, kid' : 'the file with the key, hmacFile';
  scope.report(given, `an external account binding needs ${missing}`, 'give both, as the CA handed them out');
  return undefined;
}

function readLimits(scope: Scope, raw: RawIssuer['limits'], path: Path, known: readonly RateLimit[]): readonly RateLimit[] {
  const limits = new Map(known.map((limit) => [limit.kind, limit]));
  for (const [key, kind] of Object.entries(LIMIT_KINDS)) {
    const text = raw?.[key as keyof typeof LIMIT_KINDS];
    if (text === undefined) continue;
    const limit = readLimit(kind, text);
    if (text === 'none') limits.delete(kind);
    else if (limit !== undefined) limits.set(kind, limit);
    else scope.report({ path: [...path, key] }, `${JSON.stringify(short(text))} is no limit`, 'write it like 300/3h, or none');
  }
  return [...limits.values()];
}

function readLimit(kind: UseKind, text: string): RateLimit | undefined {
  const [, count = '0', length = ''] = /^([0-9]{1,9})\/(\w+)$/.exec(text.trim()) ?? [];
  const window = parseDuration(length);
  return window === undefined || Number(count) === 0 ? undefined : { kind, count: Number(count), window };
}

function readRehearse(scope: Scope, raw: RawIssuer['rehearse'], path: Path, directory: string): string | undefined {
  if (raw === undefined || raw === false) return undefined;
  if (raw === true && directory === WELL_KNOWN.letsencrypt) return WELL_KNOWN['letsencrypt-staging'];
  if (raw === true) {
    if (directory !== '')
      scope.report(
        { path },
        `only of letsencrypt it is known where to rehearse`,
        'give the https:// URL of a directory to rehearse against',
      );
    return undefined;
  }
  const against = readDirectory(scope, raw, { path });
  if (against !== directory) return against;
  scope.report({ path }, 'that is the directory itself: its certificates would be real', 'give that of a test server');
  return undefined;
}

function readOptionalFile(scope: Scope, raw: string | undefined, path: Path): string | undefined {
  return raw === undefined ? undefined : readFilePath(scope, raw, path);
}

function checkText(scope: Scope, value: string, place: Parameters<Scope['report']>[0]): void {
  // oxlint-disable-next-line no-control-regex -- exactly those are looked for
  if (value.trim() !== '' && !/[\u0000-\u001f\u007f]/.test(value)) return;
  scope.report(
    place,
    value.trim() === '' ? 'this is empty' : 'this has control characters in it',
    'give it as the CA writes it, or leave it out',
  );
}

function warnOfSettings(scope: Scope): void {
  const why = scope.settings.issuer === undefined ? 'it needs CERT_ISSUER to name an ACME server' : 'CERT_ISSUER names no ACME server';
  for (const setting of ACME_SETTINGS satisfies readonly (keyof EnvironmentSettings)[]) {
    if (scope.settings[setting] !== undefined) scope.warn(`${VARIABLES[setting]} is not used: ${why}`);
  }
}
