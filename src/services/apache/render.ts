import { formatListen } from '../../config/listen.ts';
import type { HeldCertificates } from '../service.ts';
import type { Apache } from './daemon.ts';
import { block, hostName, quoted, quotedUrl } from './directives.ts';
import type { Plan, Site } from './sites.ts';
import { TLS } from './tls.ts';

export interface RenderOptions {
  readonly apache: Pick<Apache, 'modules' | 'modulesDirectory' | 'mimeTypes' | 'workers'>;
  readonly runtimeDirectory: string;
  /** Where http-01 tokens lie, as files named by themselves. */
  readonly challenges: string;
  readonly plan: Plan;
  readonly held: HeldCertificates;
}

export const PID_FILE = 'httpd.pid';

const MODULES = ['mpm_event', 'authz_core', 'alias', 'rewrite', 'mime', 'dir', 'headers', 'reqtimeout', 'socache_shmcb', 'ssl'];
const CHALLENGE_PATH = '/\\.well-known/acme-challenge/';

/**
 * The whole configuration of Apache as a text. It names copies in the runtime directory, never the publication.
 * @throws PodserveError CONFIG_INVALID for values that cannot stand in it
 */
export function renderApache(options: RenderOptions): string {
  const { plan, held } = options;
  const secure = plan.sites.some(({ certificate }) => held.has(certificate));
  return [
    ...server(options),
    ...logging(),
    ...TLS,
    `Listen ${formatListen(plan.http)}`,
    ...plainHost(options, secure),
    ...(secure ? [`Listen ${formatListen(plan.https)} https`, ...secureHosts(options)] : []),
    '',
  ].join('\n');
}

function server({ apache, runtimeDirectory, plan }: RenderOptions): string[] {
  const proxied = plan.sites.some(({ content }) => content.kind === 'proxy');
  const optional = ['http2'].filter((module) => apache.modules.has(module));
  const modules = [...MODULES, ...(proxied ? ['proxy', 'proxy_http'] : []), ...optional];
  return [
    '# Rendered by podserve apache; changes are lost.',
    `ServerRoot ${quoted(runtimeDirectory, 'the runtime directory')}`,
    `DefaultRuntimeDir ${quoted(runtimeDirectory, 'the runtime directory')}`,
    `PidFile ${quoted(`${runtimeDirectory}/${PID_FILE}`, 'the runtime directory')}`,
    ...modules.map(
      (module) => `LoadModule ${module}_module ${quoted(`${apache.modulesDirectory}/mod_${module}.so`, 'the modules directory')}`,
    ),
    ...(apache.workers === undefined ? [] : [`User "#${apache.workers.uid}"`, `Group "#${apache.workers.gid}"`]),
    'ServerName localhost',
    'ServerTokens Prod',
    'ServerSignature Off',
    'TraceEnable Off',
    'UseCanonicalName Off',
    // Each graceful leaves its old process until the last slow download ends; they need slots of their own.
    'StartServers 2',
    'ServerLimit 128',
    'ThreadsPerChild 25',
    'MaxRequestWorkers 400',
    'GracefulShutdownTimeout 2',
    'Timeout 60',
    'KeepAlive On',
    'MaxKeepAliveRequests 1000',
    'KeepAliveTimeout 5',
    'RequestReadTimeout handshake=10 header=10-20,MinRate=500 body=20,MinRate=500',
    apache.mimeTypes === undefined ? 'TypesConfig /dev/null' : `TypesConfig ${quoted(apache.mimeTypes, 'the media types')}`,
    'DirectoryIndex index.html',
    ...block('Directory "/"', ['Options FollowSymLinks', 'AllowOverride None', 'Require all denied']),
  ];
}

function logging(): string[] {
  return [
    'ErrorLog /dev/stderr',
    'LogLevel notice',
    String.raw`ErrorLogFormat "[%-m:%l] [client\ %a] %M"`,
    String.raw`LogFormat "%v %a \"%r\" %>s %B %D" access`,
    'CustomLog /dev/stdout access',
  ];
}

/** Port 80: challenges for whatever host is asked for, everything else goes to HTTPS as soon as there is any. */
function plainHost({ plan, challenges }: RenderOptions, secure: boolean): string[] {
  const port = plan.https.port === 443 ? '' : `:${plan.https.port}`;
  const unlessChallenge = `RewriteCond %{REQUEST_URI} !^${CHALLENGE_PATH}`;
  const redirect = [
    unlessChallenge,
    // The port of the request is left out; a host that is none gets no redirect made of it.
    String.raw`RewriteCond %{HTTP_HOST} ^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?$`,
    `RewriteRule ^ https://%1${port}%{REQUEST_URI} [R=308,L]`,
    unlessChallenge,
    'RewriteRule ^ - [R=400,L]',
  ];
  const wait = [
    unlessChallenge,
    'RewriteRule ^ - [R=503,L]',
    'Header always set Retry-After "10" "expr=%{REQUEST_STATUS} == 503"',
    'ErrorDocument 503 "There is no certificate yet; try again in a moment."',
  ];
  const directory = quoted(challenges, 'the challenges directory');
  return [
    ...block(`VirtualHost *:${plan.http.port}`, [
      'Protocols http/1.1',
      'RewriteEngine On',
      // Tokens are base64url (RFC 8555 §8.3): no other path below is anything.
      `RewriteRule ^${CHALLENGE_PATH}(?![A-Za-z0-9_-]+$) - [R=404,L]`,
      ...(secure ? redirect : wait),
      `AliasMatch "^${CHALLENGE_PATH}([A-Za-z0-9_-]+)$" ${directory.slice(0, -1)}/$1"`,
      ...block(`Directory ${directory}`, [
        'Options None',
        'AllowOverride None',
        'DirectorySlash Off',
        'ForceType text/plain',
        'Header always set Cache-Control "no-store"',
        'Require all granted',
      ]),
    ]),
  ];
}

/**
 * The first host answers for names that no other has. Apache takes the first host that matches a name, a wildcard
 * as well as an exact one, so the wildcards of all sites come after all exact names.
 */
function secureHosts(options: RenderOptions): string[] {
  const { sites } = options.plan;
  const exact = sites.flatMap((site, index) => secureHost(options, site, site.exact, `site-${index}.invalid`));
  const wildcards = sites
    .flatMap((site) => site.wildcards.map((name) => ({ site, name })))
    .sort((one, other) => other.name.length - one.name.length)
    .flatMap(({ site, name }) => secureHost(options, site, [name], `podserve-probe${name.slice(1)}`));
  return [...exact, ...wildcards];
}

function secureHost(options: RenderOptions, site: Site, names: readonly string[], fallbackName: string): string[] {
  const { plan, held, apache } = options;
  const own = held.get(site.certificate);
  const file = own?.file ?? [...held.values()][0]?.file ?? '';
  const [first, ...others] = names.map(hostName);
  const plainName = first !== undefined && !first.startsWith('*.') && !first.includes(':');
  return block(`VirtualHost *:${plan.https.port}`, [
    `ServerName ${plainName ? first : fallbackName}`,
    ...(plainName || first === undefined ? others : [first, ...others]).map((name) => `ServerAlias ${name}`),
    `Protocols ${apache.modules.has('http2') ? 'h2 ' : ''}http/1.1`,
    'SSLEngine on',
    `SSLCertificateFile ${quoted(file, 'the runtime directory')}`,
    // Its names must not fall to another site while its own certificate is missing.
    ...(own === undefined ? unavailable(site) : [...hsts(plan), ...contentOf(site)]),
  ]);
}

function unavailable(site: Site): string[] {
  return [
    'RewriteEngine On',
    'RewriteRule ^ - [R=503,L]',
    `ErrorDocument 503 "The certificate ${hostName(site.certificate)} of this site is not there yet."`,
  ];
}

function hsts(plan: Plan): string[] {
  return plan.hsts === undefined ? [] : [`Header always set Strict-Transport-Security "max-age=${Math.trunc(plan.hsts)}"`];
}

function contentOf({ content }: Site): string[] {
  if (content.kind === 'files') return files(quoted(content.root, 'apache.sites root'));
  if (content.kind === 'proxy') return proxy(quotedUrl(content.upstream, 'apache.sites proxy'));
  return ['RewriteEngine On', 'RewriteRule ^ - [R=200,L]', `ErrorDocument 200 "${WELCOME}"`];
}

function files(root: string): string[] {
  return [
    `DocumentRoot ${root}`,
    ...block(`Directory ${root}`, ['Options FollowSymLinks', 'AllowOverride None', 'Require all granted']),
    // .git, .htpasswd and their like are no content.
    ...block(String.raw`LocationMatch "/\.(?!well-known(?:/|$))"`, ['Require all denied']),
  ];
}

function proxy(upstream: string): string[] {
  return [
    'ProxyPreserveHost On',
    // What a client claims of itself is dropped; mod_proxy adds X-Forwarded-For with its address.
    'RequestHeader unset X-Forwarded-For',
    'RequestHeader unset Forwarded',
    'RequestHeader set X-Forwarded-Proto "https"',
    `ProxyPass "/" ${upstream} upgrade=websocket retry=0 connectiontimeout=5`,
    `ProxyPassReverse "/" ${upstream}`,
  ];
}

const WELCOME = [
  '<!doctype html><html lang=en><meta charset=utf-8><title>It works</title>',
  '<p>It works: this site is served by PodServe with a certificate that was seen served.',
  '<p>Give it content in podserve.yaml, under apache.sites: root or proxy.',
].join('');
