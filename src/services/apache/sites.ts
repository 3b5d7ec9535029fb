import { parseIdentifier, type Identifier } from '../../certificate/identifier.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { ApacheConfig, SiteConfig } from '../../config/config.ts';
import { parseListen, reachableHost, type Listen } from '../../config/listen.ts';
import { PodserveError } from '../../platform/errors.ts';
import { parseEndpoint } from '../../delivery/endpoint.ts';
import type { HeldCertificates, ServedAt, WantedCertificate } from '../service.ts';

/** What Apache shall serve, worked out: each name belongs to one site. */
export interface Plan {
  readonly http: Listen;
  readonly https: Listen;
  readonly hsts: number | undefined;
  readonly sites: readonly Site[];
}

export interface Site {
  readonly certificate: string;
  /** Names and addresses without wildcards, canonical. */
  readonly exact: readonly string[];
  /** `*.example.org` */
  readonly wildcards: readonly string[];
  readonly content: Content;
}

export type Content =
  | { readonly kind: 'files'; readonly root: string }
  | { readonly kind: 'proxy'; readonly upstream: string }
  | { readonly kind: 'welcome' };

/**
 * Gives each name to one site: a site without names of its own takes all names of its certificate that no other
 * site asks for. Of two sites that ask for one name the first has it.
 * @throws PodserveError CONFIG_INVALID
 */
export function planSites(apache: ApacheConfig, certificates: readonly CertificateSpec[]): Plan {
  const asked = new Set(apache.sites.flatMap(({ names }) => names));
  const given = new Set<string>();
  const sites = apache.sites.map((site, index): Site => {
    const spec = certificates.find(({ name }) => name === site.certificate);
    if (spec === undefined) {
      throw new PodserveError('CONFIG_INVALID', 'a site has a certificate that is not configured', {
        where: `apache.sites[${index}].certificate`,
        why: `there is no certificate ${JSON.stringify(site.certificate)}`,
        remedy: 'add it to certificates, or name another',
      });
    }
    const all = site.names.length > 0 ? site.names : spec.identifiers.map(({ value }) => value).filter((name) => !asked.has(name));
    const names = all.filter((name) => !given.has(name));
    for (const name of names) given.add(name);
    return {
      certificate: site.certificate,
      exact: names.filter((name) => !name.startsWith('*.')),
      wildcards: names.filter((name) => name.startsWith('*.')),
      content: contentOf(site, index),
    };
  });
  return { http: listenOf(apache.http, 'apache.http'), https: listenOf(apache.https, 'apache.https'), hsts: apache.hsts, sites };
}

/** The certificates that the sites need, each with the names that it must cover here. */
export function wantedBy(plan: Plan): WantedCertificate[] {
  const identifiers = new Map<string, Identifier[]>();
  for (const { certificate, exact, wildcards } of plan.sites) {
    const its = identifiers.get(certificate) ?? [];
    its.push(...[...exact, ...wildcards].map(parseIdentifier));
    identifiers.set(certificate, its);
  }
  return [...identifiers].map(([name, its]) => ({ name, identifiers: its }));
}

/**
 * One handshake for each name on the HTTPS port. An address sends no SNI and is answered by the first site alone,
 * so other sites cannot be seen by it.
 */
export function servedByApache(plan: Plan, held: HeldCertificates): ServedAt[] {
  const host = reachableHost(plan.https.host) === 'localhost' ? '127.0.0.1' : plan.https.host;
  const endpoint = parseEndpoint(`https://${host.includes(':') ? `[${host}]` : host}:${plan.https.port}`);
  const present = plan.sites.filter(({ certificate }) => held.has(certificate));
  return present.flatMap(({ certificate, exact, wildcards }) => {
    const names = [...exact, ...wildcards].map(parseIdentifier).filter(({ type }) => type === 'dns');
    const byName = names.map(({ value }): ServedAt => ({ endpoint, servername: value, certificate }));
    return certificate === plan.sites[0]?.certificate ? [{ endpoint, servername: undefined, certificate }, ...byName] : byName;
  });
}

/** @throws PodserveError CONFIG_INVALID */
export function listenOf(text: string, setting: string): Listen {
  const listen = parseListen(text);
  if (listen !== undefined) return listen;
  throw new PodserveError('CONFIG_INVALID', 'this is no address to listen on', {
    where: setting,
    why: JSON.stringify(text),
    remedy: 'write HOST:PORT',
  });
}

function contentOf({ root, proxy }: SiteConfig, index: number): Content {
  if (root !== undefined) return { kind: 'files', root };
  if (proxy === undefined) return { kind: 'welcome' };
  const url = URL.parse(proxy);
  if (url?.protocol === 'http:' && url.username === '' && url.password === '' && url.search === '' && url.hash === '') {
    return { kind: 'proxy', upstream: url.href };
  }
  throw new PodserveError('CONFIG_INVALID', 'this is no upstream', {
    where: `apache.sites[${index}].proxy`,
    why: JSON.stringify(proxy),
    remedy: 'write http://HOST:PORT/',
  });
}
