import * as z from 'zod/mini';

import { KEY_TYPES } from '../certificate/spec.ts';
import { DURATION_PATTERN } from '../platform/duration.ts';
import { CHALLENGES, LOG_FORMATS, LOG_LEVELS } from './config.ts';
import { LISTEN_PATTERN } from './listen.ts';

const LIMIT_PATTERN = `^(none|[0-9]+/${DURATION_PATTERN.slice(1, -1)})$`;

// Shapes only: what a text means is read by interpret.ts, which reads environment variables by the same rules.

const name = (description: string) => z.string().check(z.meta({ description, pattern: '^[a-z0-9][a-z0-9-]{0,62}$' }));
const text = (description: string) => z.string().check(z.describe(description));
const duration = (description: string) => z.string().check(z.meta({ description, pattern: DURATION_PATTERN }));
const listen = (description: string) => z.string().check(z.meta({ description, pattern: LISTEN_PATTERN }));
const texts = (description: string) => z.array(z.string()).check(z.describe(description));

const certificate = z.strictObject({
  name: name('Name of the certificate, and of its directory in the publication'),
  names: z.optional(texts('DNS names, wildcards and IP addresses; may be left out for `default` alone, which then has the domain')),
  issuers: z.optional(
    texts(
      'Issuers in order of preference: `local-ca`, `self-signed`, `letsencrypt`, one of `issuers`, or the https:// URL of an ACME directory',
    ),
  ),
  keyType: z.optional(z.enum(KEY_TYPES).check(z.describe('Kind and size of the key'))),
  lifetime: z.optional(duration('How long local issuers make it live, at most 397d')),
  renewBefore: z.optional(duration('How long before its expiry it is renewed; shorter than the lifetime')),
  consumers: z.optional(texts('Names of the consumers that serve it')),
});

const limit = (description: string) => z.string().check(z.meta({ description, pattern: LIMIT_PATTERN }));

const issuer = z.strictObject({
  directory: z.optional(text('https:// URL of the ACME directory; known of `letsencrypt` and `letsencrypt-staging`')),
  caFile: z.optional(text("PEM file of the roots trusted for this server instead of the system's; relative to the configuration file")),
  email: z.optional(text("Contact of the account; left out: the configuration's e-mail")),
  eab: z.optional(
    z
      .strictObject({
        kid: z.optional(text('Key identifier that the CA handed out')),
        hmacFile: z.optional(text('File with the key that the CA handed out, in base64url; relative to the configuration file')),
      })
      .check(z.describe('External account binding')),
  ),
  profile: z.optional(text('Profile that certificates are ordered with; the server lists its own in its directory')),
  preferredChain: z.optional(text('Common name of an issuer that the wanted chain ends in or passes')),
  challenge: z.optional(z.enum(CHALLENGES).check(z.describe('How the server is shown that the names are ours'))),
  http01: z.optional(
    z
      .strictObject({
        webroot: z.optional(text('Directory that tokens are put under; left out: the challenges volume, which Apache serves')),
        listen: z.optional(listen('Where an own listener serves them instead; the server asks at port 80')),
      })
      .check(z.describe('Settings of http-01: one of the two, or neither')),
  ),
  tlsAlpn01: z.optional(
    z
      .strictObject({ listen: z.optional(listen('Where the own listener answers; the server asks at port 443')) })
      .check(z.describe('Settings of tls-alpn-01')),
  ),
  dns01: z.optional(
    z
      .strictObject({
        server: z.optional(text('Name server that takes signed updates, host or host:port')),
        tsigKeyFile: z.optional(text('File with its TSIG key, in the form of tsig-keygen; relative to the configuration file')),
        exec: z.optional(text('Program that sets and removes records instead; relative to the configuration file')),
        propagation: z.optional(
          z
            .strictObject({
              servers: z.optional(texts("Servers that must have the record; left out: the zone's own name servers")),
              timeout: z.optional(duration('How long all of them may take to have it')),
            })
            .check(z.describe('When a record counts as being there')),
        ),
      })
      .check(z.describe('Settings of dns-01: `server` with `tsigKeyFile`, or `exec`')),
  ),
  limits: z.optional(
    z
      .strictObject({
        accounts: z.optional(limit('New accounts, e.g. `10/3h`')),
        orders: z.optional(limit('New orders, e.g. `300/3h`')),
        certificates: z.optional(limit('Certificates for one registered domain, e.g. `50/7d`')),
        duplicates: z.optional(limit('Certificates for exactly the same names, e.g. `5/7d`')),
        failures: z.optional(limit('Failed authorizations of one name, e.g. `5/1h`')),
      })
      .check(z.describe("What the CA allows, or `none`; Let's Encrypt's are known")),
  ),
  rehearse: z.optional(
    z
      .union([z.boolean(), z.string()])
      .check(z.describe('Order from a test server and throw away what it gives: its https:// URL, or true where it is known')),
  ),
});

const consumer = z.strictObject({
  endpoints: texts('Where it serves TLS, e.g. `https://web:443` or `smtp://mail:25`'),
});

const site = z.strictObject({
  certificate: z.optional(name('Name of the certificate that it is served with')),
  names: z.optional(texts('DNS names that it answers for; left out: all DNS names of the certificate')),
  root: z.optional(text('Directory of the files that it serves; relative to the configuration file')),
  proxy: z.optional(text('Server that it forwards to, e.g. `http://127.0.0.1:3000/`')),
});

const apache = z.strictObject({
  http: z.optional(listen('Where plain HTTP is served: challenges, and redirects to HTTPS')),
  https: z.optional(listen('Where HTTPS is served')),
  status: z.optional(listen('Where /healthz, /readyz, /status and /metrics are served in plain HTTP')),
  hsts: z.optional(
    z.union([z.int(), z.string().check(z.meta({ pattern: DURATION_PATTERN }))]).check(z.describe('HSTS max-age, e.g. `365d` or seconds')),
  ),
  sites: z.optional(z.array(site).check(z.describe('The first answers for names that no other site has'))),
});

const mail = z.strictObject({
  hostname: z.optional(text('What the server calls itself, and what MX records name; left out: the domain')),
  domains: z.optional(texts('Domains whose mail is delivered here; left out: the domain')),
  certificate: z.optional(name('Name of the certificate for clients that ask for no other name')),
  pop3: z.optional(z.boolean().check(z.describe('Whether POP3 is served too, on 110 and 995'))),
  messageSize: z.optional(z.union([z.int(), z.string()]).check(z.describe('Largest message, e.g. `50MiB` or bytes'))),
  quota: z.optional(
    z.union([z.int(), z.string()]).check(z.describe('Of each mailbox whose account says nothing else, e.g. `2GiB` or bytes, or `none`')),
  ),
  relay: z.optional(
    z
      .strictObject({
        server: text('`host:port` that all mail for elsewhere goes through'),
        credentialsFile: z.optional(text('File with `user:password` for it, in one line')),
      })
      .check(z.describe('A server that sends for this one')),
  ),
  sendLimit: z.optional(z.int().check(z.describe('Recipients that one account may send to in an hour'))),
  status: z.optional(listen('Where /healthz, /readyz, /status and /metrics are served in plain HTTP')),
});

const admin = z.strictObject({
  listen: z.optional(listen('Where the HTTPS status page is served; `localhost` means both loopback addresses')),
  certificate: z.optional(name('Name of the certificate that it is served with')),
  status: z.optional(listen('Where /healthz, /readyz, /status and /metrics are served in plain HTTP')),
});

const certificateService = z.strictObject({
  status: z.optional(listen('Where /healthz, /readyz, /status and /metrics are served in plain HTTP')),
});

const onEvent = z.strictObject({
  exec: text('Program called with each event as JSON on its standard input; relative to the configuration file'),
});

const log = z.strictObject({
  level: z.optional(z.enum(LOG_LEVELS).check(z.describe('The least important lines that are written'))),
  format: z.optional(z.enum(LOG_FORMATS).check(z.describe('`auto` is pretty on a terminal and JSON elsewhere'))),
});

/** The form of podserve.yaml. Strict at every level. */
export const configSchema = z.strictObject({
  domain: z.optional(text('The domain of this server; the certificate `default` is made for it')),
  email: z.optional(text('Address of the person who looks after this server')),
  certificates: z.optional(z.array(certificate).check(z.describe('The certificates that shall exist; `default` always does'))),
  issuers: z.optional(z.record(z.string(), issuer).check(z.describe('ACME servers, by the name that certificates use'))),
  resolvers: z.optional(texts("DNS servers that are asked, host or host:port; left out: the system's")),
  consumers: z.optional(z.record(z.string(), consumer).check(z.describe('Services that serve TLS with a certificate, by name'))),
  certificateService: z.optional(certificateService.check(z.describe('The certificate service itself'))),
  apache: z.optional(apache.check(z.describe('The web server, `podserve apache`'))),
  mail: z.optional(mail.check(z.describe('Mail, `podserve mail`'))),
  admin: z.optional(admin.check(z.describe('The status page, part of `podserve up`'))),
  onEvent: z.optional(onEvent.check(z.describe('Called after renewal, failure, emergency and recovery'))),
  keyGid: z.optional(z.int().check(z.describe('Number of the group that may read private keys'))),
  log: z.optional(log.check(z.describe('What is logged, and how'))),
});

export type ConfigInput = z.input<typeof configSchema>;

/** The same for editors and validators: JSON Schema, draft 7, which YAML editors read best. */
export function jsonSchema(): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(configSchema, { target: 'draft-7', io: 'input' });
  return { $schema, title: 'podserve.yaml', description: 'Configuration of PodServe', ...rest };
}
