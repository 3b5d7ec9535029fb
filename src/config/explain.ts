import { displayIdentifier } from '../certificate/identifier.ts';
import { isLocalIssuer, type CertificateSpec } from '../certificate/spec.ts';
import { formatDuration } from '../platform/duration.ts';
import type { SiteConfig } from './config.ts';
import type { EnvironmentSettings } from './environment.ts';
import { explainIssuers } from './explain-issuers.ts';
import { VARIABLES } from './variables.ts';
import type { LoadedConfig } from './load.ts';
import type { Path } from './problem.ts';
import type { MakeLeaf, Tree } from './tree.ts';

/** The whole configuration in the form of the file, each value with where it came from. */
export function explain(loaded: LoadedConfig): Tree {
  const { config, raw, traits } = loaded;
  const leaf = leafOf(loaded);
  const portNote = traits.lowPorts ? undefined : 'this user may not open ports below 1024';
  const files = new Map((raw.certificates ?? []).map((certificate, index) => [certificate?.name, index]));
  const sites = raw.apache?.sites ?? [];
  const told = new Set(loaded.settings.consumers?.flatMap(({ name, endpoint }) => (endpoint === undefined ? [] : [name])));
  return {
    domain: leaf(config.domain, ['domain'], 'domain'),
    email: leaf(config.email, ['email'], 'email'),
    certificates: config.certificates.map((spec) => explainCertificate(spec, files.get(spec.name), leaf)),
    ...(Object.keys(config.issuers).length === 0 ? {} : { issuers: explainIssuers(loaded, leaf) }),
    ...(config.resolvers.length === 0 ? {} : { resolvers: leaf(config.resolvers, ['resolvers']) }),
    consumers: Object.fromEntries(
      Object.entries(config.consumers).map(([name, { endpoints }]) => {
        const setting = told.has(name) ? 'consumers' : undefined;
        return [name, { endpoints: leaf(endpoints, ['consumers', name, 'endpoints'], setting, 'where this program serves it') }];
      }),
    ),
    certificateService: { status: leaf(config.certificateService.status, ['certificateService', 'status'], 'statusHost') },
    apache: {
      http: leaf(config.apache.http, ['apache', 'http'], undefined, portNote),
      https: leaf(config.apache.https, ['apache', 'https'], undefined, portNote),
      status: leaf(config.apache.status, ['apache', 'status'], 'statusHost'),
      hsts: leaf(config.apache.hsts, ['apache', 'hsts']),
      sites: config.apache.sites.map((site, index) => explainSite(site, sites.length === 0 ? undefined : index, leaf)),
    },
    mail: {
      hostname: leaf(config.mail.hostname, ['mail', 'hostname'], undefined, 'the domain'),
      domains: leaf(config.mail.domains, ['mail', 'domains'], undefined, 'the domain'),
      certificate: leaf(config.mail.certificate, ['mail', 'certificate']),
      pop3: leaf(config.mail.pop3, ['mail', 'pop3']),
      messageSize: leaf(config.mail.messageSize, ['mail', 'messageSize']),
      quota: leaf(config.mail.quota ?? 'none', ['mail', 'quota']),
      ...(config.mail.relay === undefined
        ? {}
        : {
            relay: {
              server: leaf(config.mail.relay.server, ['mail', 'relay', 'server']),
              credentialsFile: leaf(config.mail.relay.credentialsFile, ['mail', 'relay', 'credentialsFile']),
            },
          }),
      sendLimit: leaf(config.mail.sendLimit, ['mail', 'sendLimit']),
      status: leaf(config.mail.status, ['mail', 'status'], 'statusHost'),
    },
    admin: {
      listen: leaf(config.admin.listen, ['admin', 'listen']),
      certificate: leaf(config.admin.certificate, ['admin', 'certificate']),
      status: leaf(config.admin.status, ['admin', 'status'], 'statusHost'),
    },
    ...(config.onEvent === undefined ? {} : { onEvent: { exec: leaf(config.onEvent.exec, ['onEvent', 'exec']) } }),
    keyGid: leaf(config.keyGid, ['keyGid'], 'keyGid'),
    log: {
      level: leaf(config.log.level, ['log', 'level'], 'logLevel'),
      format: leaf(config.log.format, ['log', 'format'], 'logFormat'),
    },
  };
}

function leafOf({ raw, settings, source }: LoadedConfig): MakeLeaf {
  return (value, path, setting, note) => {
    if (value === undefined) return undefined;
    if (setting !== undefined && settings[setting] !== undefined) {
      return { value, origin: { kind: 'environment', variable: VARIABLES[setting] } };
    }
    if (source !== undefined && isGiven(raw, path)) {
      return { value, origin: { kind: 'file', file: source.shown, ...source.document.position(path) } };
    }
    return { value, origin: note === undefined ? { kind: 'default' } : { kind: 'default', note } };
  };
}

/** @param index where it stands in the file; undefined for a `default` that the file does not have */
function explainCertificate(spec: CertificateSpec, index: number | undefined, leaf: MakeLeaf): Tree {
  const path = ['certificates', index ?? -1];
  const own = (setting: keyof EnvironmentSettings): keyof EnvironmentSettings | undefined =>
    spec.name === 'default' ? setting : undefined;
  const local = spec.issuers.some(isLocalIssuer);
  return {
    name: leaf(spec.name, [...path, 'name']),
    names: leaf(spec.identifiers.map(displayIdentifier), [...path, 'names'], own('names'), 'from domain'),
    issuers: leaf(spec.issuers, [...path, 'issuers'], own('issuer')),
    keyType: leaf(spec.keyType, [...path, 'keyType'], own('keyType')),
    lifetime: local ? leaf(formatDuration(spec.lifetime), [...path, 'lifetime']) : undefined,
    renewBefore: local ? leaf(formatDuration(spec.renewBefore), [...path, 'renewBefore'], own('renewBefore')) : undefined,
    consumers: leaf(spec.consumers, [...path, 'consumers'], own('consumers')),
  };
}

function explainSite(site: SiteConfig, index: number | undefined, leaf: MakeLeaf): Tree {
  const path = ['apache', 'sites', index ?? -1];
  return {
    certificate: leaf(site.certificate, [...path, 'certificate']),
    names: leaf(site.names, [...path, 'names'], undefined, 'all DNS names of the certificate'),
    root: leaf(site.root, [...path, 'root']),
    proxy: leaf(site.proxy, [...path, 'proxy']),
  };
}

function isGiven(raw: unknown, path: Path): boolean {
  let value = raw;
  for (const step of path)
    value = typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[step] : undefined;
  return value !== undefined && value !== null;
}
