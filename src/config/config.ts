import type { CertificateSpec } from '../certificate/spec.ts';

/** The whole configuration, checked, interpreted and frozen. No secrets: those stay in the files it names. */
export interface Config {
  /** The file it came from, or undefined when everything is default. */
  readonly file: string | undefined;
  readonly domain: string;
  readonly email: string | undefined;
  /** At least one, the first being `default`. */
  readonly certificates: readonly CertificateSpec[];
  readonly consumers: Readonly<Record<string, ConsumerConfig>>;
  readonly apache: ApacheConfig;
  readonly admin: AdminConfig;
  /** A program called with each event that a person should know of, as JSON on its standard input. */
  readonly onEvent: { readonly exec: string } | undefined;
  /** Fixed number of the group that may read keys. */
  readonly keyGid: number;
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'json' | 'pretty' };
  /** One line each: unknown CERT_* variables and the like. */
  readonly warnings: readonly string[];
}

export interface ConsumerConfig {
  /** Endpoint URLs as `parseEndpoint` of src/delivery reads them. */
  readonly endpoints: readonly string[];
}

export interface ApacheConfig {
  /** `host:port` pairs, e.g. `[::]:80`. */
  readonly http: string;
  readonly https: string;
  /** Loopback address of /healthz, /readyz, /status, /metrics. */
  readonly status: string;
  /** HSTS max-age in seconds, or undefined for none. */
  readonly hsts: number | undefined;
  /** At least one; the first answers for names that no other site has. */
  readonly sites: readonly SiteConfig[];
}

/** Serves files from `root` or forwards to `proxy`: exactly one of them, or neither for a page that says it works. */
export interface SiteConfig {
  readonly certificate: string;
  /** DNS names, canonical; empty: all names of the certificate. */
  readonly names: readonly string[];
  readonly root: string | undefined;
  /** `http://host:port/` */
  readonly proxy: string | undefined;
}

export interface AdminConfig {
  /** `host:port` of the HTTPS status page. */
  readonly listen: string;
  readonly certificate: string;
  /** `host:port` of the plain status port. */
  readonly status: string;
}
