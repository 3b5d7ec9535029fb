import type { CertificateSpec } from '../certificate/spec.ts';

/** The whole configuration, checked, interpreted and deeply frozen. No secrets: those stay in the files it names. */
export interface Config {
  /** Absolute path of the file it came from, or undefined when there is none. */
  readonly file: string | undefined;
  /** Canonical: lower-case A-labels. */
  readonly domain: string;
  readonly email: string | undefined;
  /** At least one, the first being `default`. */
  readonly certificates: readonly CertificateSpec[];
  /** By name, without prototype. `admin` and `apache` are always there: this program serves them itself. */
  readonly consumers: Readonly<Record<string, ConsumerConfig>>;
  readonly certificateService: CertificateServiceConfig;
  readonly apache: ApacheConfig;
  readonly admin: AdminConfig;
  /** A program called with each event that a person should know of, as JSON on its standard input. */
  readonly onEvent: { readonly exec: string } | undefined;
  /** Fixed number of the group that may read keys. */
  readonly keyGid: number;
  readonly log: LogConfig;
  /** One line each: unknown CERT_* variables and the like. */
  readonly warnings: readonly string[];
}

export interface LogConfig {
  readonly level: (typeof LOG_LEVELS)[number];
  /** `auto`: pretty on a terminal, JSON elsewhere. */
  readonly format: (typeof LOG_FORMATS)[number];
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export const LOG_FORMATS = ['auto', 'json', 'pretty'] as const;

export interface CertificateServiceConfig {
  /** `host:port` of /healthz, /readyz, /status and /metrics in plain HTTP. */
  readonly status: string;
}

export interface ConsumerConfig {
  /** Endpoint URLs that `parseEndpoint` of src/delivery has read. */
  readonly endpoints: readonly string[];
}

export interface ApacheConfig {
  /** `host:port` pairs as `parseListen` writes them, e.g. `[::]:80`. */
  readonly http: string;
  readonly https: string;
  /** `host:port` of /healthz, /readyz, /status and /metrics in plain HTTP. */
  readonly status: string;
  /** HSTS max-age in seconds, or undefined for none. */
  readonly hsts: number | undefined;
  /** At least one; the first answers for names that no other site has. */
  readonly sites: readonly SiteConfig[];
}

/** Serves files from `root` or forwards to `proxy`: exactly one of them, or neither for a page that says it works. */
export interface SiteConfig {
  readonly certificate: string;
  /** DNS names, canonical, covered by the certificate; empty: all names of the certificate. */
  readonly names: readonly string[];
  /** Absolute path. */
  readonly root: string | undefined;
  /** `http://host:port/` */
  readonly proxy: string | undefined;
}

export interface AdminConfig {
  /** `host:port` of the HTTPS status page; `localhost` stands for both loopback addresses. */
  readonly listen: string;
  readonly certificate: string;
  /** `host:port` of the plain status port. */
  readonly status: string;
}
