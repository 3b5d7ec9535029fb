import type { RateLimit } from '../certificate/rate-limits.ts';
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
  /** By name, without prototype. `admin`, `apache` and `mail` are always there: this program serves them itself. */
  readonly consumers: Readonly<Record<string, ConsumerConfig>>;
  /** ACME servers by the name that certificates use, without prototype: those of the file, and the well-known ones that are named. */
  readonly issuers: Readonly<Record<string, AcmeIssuerConfig>>;
  /** `host:port` of the DNS servers that are asked; empty: the system's. */
  readonly resolvers: readonly string[];
  readonly certificateService: CertificateServiceConfig;
  readonly apache: ApacheConfig;
  readonly mail: MailConfig;
  readonly admin: AdminConfig;
  /** A program called with each event that a person should know of, as JSON on its standard input. */
  readonly onEvent: { readonly exec: string } | undefined;
  /** Fixed number of the group that may read keys. */
  readonly keyGid: number;
  readonly log: LogConfig;
  /** One line each: unknown CERT_* variables and the like. */
  readonly warnings: readonly string[];
}

/** An ACME server and how to prove to it that the names are ours. */
export interface AcmeIssuerConfig {
  readonly name: string;
  /** `https://…` */
  readonly directory: string;
  /** Absolute path of PEM roots trusted for this server instead of the system's. */
  readonly caFile: string | undefined;
  /** Contact of the account: the issuer's own, else the configuration's. */
  readonly email: string | undefined;
  readonly eab: { readonly kid: string; readonly hmacFile: string } | undefined;
  readonly profile: string | undefined;
  /** Common name of an issuer that the wanted chain ends in or passes; else the server's default chain is taken. */
  readonly preferredChain: string | undefined;
  readonly challenge: ChallengeConfig;
  /** What the CA allows; ordinary orders keep under it. */
  readonly limits: readonly RateLimit[];
  /**
   * Directory of the server that orders are rehearsed against: what it issues is checked and thrown away, and the
   * publication stays as it is. Undefined: no rehearsal, certificates are real.
   */
  readonly rehearse: string | undefined;
}

export const CHALLENGES = ['http-01', 'tls-alpn-01', 'dns-01'] as const satisfies readonly ChallengeConfig['type'][];

/** Exactly one way of each type is set. Files are absolute paths, listeners `host:port` as `parseListen` writes them. */
export type ChallengeConfig =
  /** Undefined webroot: the challenges volume, which Apache serves. */
  | { readonly type: 'http-01'; readonly via: 'webroot'; readonly webroot: string | undefined }
  | { readonly type: 'http-01'; readonly via: 'listen'; readonly listen: string }
  | { readonly type: 'tls-alpn-01'; readonly via: 'listen'; readonly listen: string }
  | ({ readonly type: 'dns-01'; readonly via: 'update' } & DnsUpdateConfig)
  | { readonly type: 'dns-01'; readonly via: 'exec'; readonly exec: string; readonly propagation: DnsPropagationConfig };

/** RFC 2136 with TSIG (RFC 8945). */
export interface DnsUpdateConfig {
  /** `host:port` of the server that takes updates. */
  readonly server: string;
  /** A key in BIND's form: `key "name" { algorithm hmac-sha256; secret "…"; };` */
  readonly tsigKeyFile: string;
  readonly propagation: DnsPropagationConfig;
}

export interface DnsPropagationConfig {
  /** `host:port` of servers to ask instead of the zone's own name servers; empty: those. */
  readonly servers: readonly string[];
  /** How long all of them may take to have the record, ms. */
  readonly timeout: number;
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

export interface MailConfig {
  /** What the server calls itself, and what MX records name. Canonical. */
  readonly hostname: string;
  /** Whose mail is delivered here, canonical; at least one. */
  readonly domains: readonly string[];
  /** For clients that ask for no name, or for one of no other certificate. */
  readonly certificate: string;
  /** Whether POP3 is served too. */
  readonly pop3: boolean;
  /** Largest message, bytes. */
  readonly messageSize: number;
  /** Of each mailbox whose account says nothing else, bytes; undefined: none. */
  readonly quota: number | undefined;
  /** `host:port` that all mail for elsewhere goes through. */
  readonly relay: { readonly server: string; readonly credentialsFile: string | undefined } | undefined;
  /** Recipients that one account may send to in an hour. */
  readonly sendLimit: number;
  /** `host:port` of /healthz, /readyz, /status and /metrics in plain HTTP. */
  readonly status: string;
}

export interface AdminConfig {
  /** `host:port` of the HTTPS status page; `localhost` stands for both loopback addresses. */
  readonly listen: string;
  readonly certificate: string;
  /** `host:port` of the plain status port. */
  readonly status: string;
}
