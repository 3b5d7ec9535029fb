import { parseIdentifier } from '../certificate/identifier.ts';
import { findCertificate, interpretHsts, interpretSites, readFilePath } from './apache.ts';
import { interpretCertificates, type IssuerUse } from './certificates.ts';
import { readServer } from './challenge.ts';
import type { Config } from './config.ts';
import { httpsUrl, interpretConsumers } from './consumers.ts';
import { DEFAULTS } from './defaults.ts';
import type { EnvironmentSettings } from './environment.ts';
import type { HostTraits } from './host.ts';
import { checkIssuable } from './issuable.ts';
import { issuerNames } from './issuer-names.ts';
import { interpretIssuers, isEmail } from './issuers.ts';
import { checkListeners, speaksOfApache } from './listeners.ts';
import { interpretMail } from './mail.ts';
import { short, type Problem } from './problem.ts';
import { attempt, elements, sourced, type Scope } from './scope.ts';
import { interpretServers } from './servers.ts';
import type { Raw, Shape } from './shape.ts';

/** Group numbers end here; the last one means "none" to the kernel. */
const LARGEST_GID = 2 ** 32 - 2;

/** The services of this program: they are consumers without being configured as such. */
const OWN_CONSUMERS: readonly string[] = ['admin', 'apache', 'mail'];

export interface Interpretation {
  /** Only of use when there are no problems; not frozen yet. */
  readonly config: Config;
  readonly problems: readonly Problem[];
}

/**
 * What file and environment mean together. Pure: `file` and `directory` are looked at by name alone.
 * Everything that is wrong is collected, so that it can be said at once.
 */
export function interpret(options: {
  readonly shape: Shape;
  readonly settings: EnvironmentSettings;
  readonly file: string | undefined;
  readonly directory: string;
  readonly traits: HostTraits;
}): Interpretation {
  const { raw } = options.shape;
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const scope: Scope = {
    settings: options.settings,
    directory: options.directory,
    shapeProblems: options.shape.problems,
    report: (place, why, remedy, cause) => void problems.push({ place, why, remedy, cause }),
    warn: (line) => void warnings.push(line),
  };
  const servers = interpretServers(scope, raw, options.traits);
  const consumers = interpretConsumers(scope, raw.consumers, servers);
  const domain = interpretDomain(scope, raw.domain);
  const email = interpretEmail(scope, raw.email);
  const names = issuerNames(scope, raw.issuers);
  const uses: IssuerUse[] = [];
  const certificates = interpretCertificates(scope, raw.certificates, {
    domain,
    consumers: Object.keys(consumers),
    issuers: names,
    onUse: (use) => void uses.push(use),
  });
  const issuers = interpretIssuers(scope, raw.issuers, {
    found: names.found,
    fromEnvironment: scope.settings.issuer === undefined ? undefined : certificates[0]?.issuers[0],
    email,
    traits: options.traits,
  });
  warnOfUnused(scope, raw.consumers, certificates);
  warnOfUnusedIssuers(scope, raw.issuers, uses);
  checkIssuable(scope, uses, certificates, issuers);
  const adminCertificate = raw.admin?.certificate ?? 'default';
  findCertificate(scope, adminCertificate, ['admin', 'certificate'], certificates);
  const config: Config = {
    file: options.file,
    domain,
    email,
    certificates,
    consumers,
    issuers,
    resolvers: elements(raw.resolvers, ['resolvers']).map(({ value, path }) => readServer(scope, value, path)),
    certificateService: servers.certificateService,
    apache: {
      ...servers.apache,
      hsts: interpretHsts(scope, raw.apache?.hsts),
      sites: interpretSites(scope, raw.apache?.sites, certificates),
    },
    mail: interpretMail(scope, raw.mail, { domain, certificates, status: servers.mail.status }),
    admin: { ...servers.admin, certificate: adminCertificate },
    onEvent: interpretOnEvent(scope, raw.onEvent?.exec),
    keyGid: interpretKeyGid(scope, raw.keyGid),
    log: {
      level: scope.settings.logLevel ?? raw.log?.level ?? DEFAULTS.logLevel,
      format: scope.settings.logFormat ?? raw.log?.format ?? DEFAULTS.logFormat,
    },
    warnings,
  };
  checkListeners(scope, raw.issuers, config, speaksOfApache(config, options.traits, httpsUrl(servers.apache.https)));
  return { config, problems };
}

function interpretDomain(scope: Scope, raw: string | undefined): string {
  const given = sourced(scope, 'domain', raw, ['domain']);
  if (given === undefined) return DEFAULTS.domain;
  const identifier = attempt(scope, given.place, () => parseIdentifier(given.value));
  if (identifier === undefined) return DEFAULTS.domain;
  if (identifier.type === 'dns' && !identifier.value.startsWith('*.')) return identifier.value;
  const what = identifier.type === 'ip' ? 'an address' : 'a wildcard';
  scope.report(
    given.place,
    `${short(given.value)} is ${what}, not a domain`,
    'give the domain here, and list it in the names of a certificate',
  );
  return DEFAULTS.domain;
}

function interpretEmail(scope: Scope, raw: string | undefined): string | undefined {
  const given = sourced(scope, 'email', raw, ['email']);
  if (given === undefined) return undefined;
  if (!isEmail(given.value)) {
    scope.report(given.place, `${JSON.stringify(short(given.value))} is no e-mail address`, 'write it like admin@example.org');
  }
  return given.value;
}

function interpretKeyGid(scope: Scope, raw: number | undefined): number {
  const given = sourced(scope, 'keyGid', raw, ['keyGid']);
  if (given === undefined) return DEFAULTS.keyGid;
  if (given.value >= 0 && given.value <= LARGEST_GID) return given.value;
  scope.report(given.place, `${given.value} is no group number`, `give one from 0 to ${LARGEST_GID}`);
  return DEFAULTS.keyGid;
}

function interpretOnEvent(scope: Scope, exec: string | undefined): Config['onEvent'] {
  if (exec === undefined) return undefined;
  const path = readFilePath(scope, exec, ['onEvent', 'exec']);
  // A bare name is looked for in PATH, as everywhere.
  return { exec: exec.includes('/') ? path : exec };
}

function warnOfUnused(scope: Scope, consumers: Shape['raw']['consumers'], certificates: Config['certificates']): void {
  const used = new Set(certificates.flatMap((certificate) => certificate.consumers));
  for (const name of Object.keys(consumers ?? {})) {
    if (used.has(name) || OWN_CONSUMERS.includes(name)) continue;
    scope.warn(`no certificate lists the consumer ${short(name)}: nothing watches whether it takes renewals`);
  }
}

/** Mostly somebody who set up an issuer and forgot that certificates have to name it. */
function warnOfUnusedIssuers(scope: Scope, issuers: Raw['issuers'], uses: readonly IssuerUse[]): void {
  const used = new Set(uses.map(({ issuer }) => issuer));
  for (const name of Object.keys(issuers ?? {})) {
    if (used.has(name) || scope.settings.issuer !== undefined) continue;
    scope.warn(`no certificate lists the issuer ${short(name)}: it is not used`);
  }
}
