import type { AdminConfig, ApacheConfig, CertificateServiceConfig, MailConfig } from './config.ts';
import { DEFAULTS } from './defaults.ts';
import type { HostTraits } from './host.ts';
import { collide, formatListen, parseListen, type Listen } from './listen.ts';
import { VARIABLES } from './variables.ts';
import { formatPath, short, type Path } from './problem.ts';
import type { Scope } from './scope.ts';
import type { Raw } from './shape.ts';

/** Where all servers listen. */
export interface Servers {
  readonly apache: Pick<ApacheConfig, 'http' | 'https' | 'status'>;
  readonly admin: Pick<AdminConfig, 'listen' | 'status'>;
  readonly certificateService: CertificateServiceConfig;
  readonly mail: Pick<MailConfig, 'status'>;
}

/** The ports that Apache takes by default: 80 and 443 where this user may have them. */
export function defaultWebPorts({ lowPorts, ipv6 }: HostTraits): { http: string; https: string } {
  const host = ipv6 ? '::' : '0.0.0.0';
  const [http, https] = lowPorts ? [DEFAULTS.httpPort, DEFAULTS.httpsPort] : [DEFAULTS.userHttpPort, DEFAULTS.userHttpsPort];
  return { http: formatListen({ host, port: http }), https: formatListen({ host, port: https }) };
}

interface Server {
  readonly path: Path;
  readonly given: boolean;
  readonly listen: Listen;
}

/** Reads every listening address. Two of one service at one place contradict; those of two services are warned of. */
export function interpretServers(scope: Scope, raw: Raw, traits: HostTraits): Servers {
  const web = defaultWebPorts(traits);
  const read = (path: Path, value: string | undefined, otherwise: string): Server => {
    const fallback = parseListen(otherwise) ?? { host: '::', port: 0 };
    const listen = value === undefined ? undefined : parseListen(value);
    if (value !== undefined && listen === undefined) {
      scope.report(
        { path },
        `${JSON.stringify(short(value))} is no place to listen`,
        'write host:port, e.g. "[::]:80", 127.0.0.1:8080 or 80 in quotes',
      );
    }
    return { path, given: value !== undefined, listen: listen ?? fallback };
  };
  const http = read(['apache', 'http'], raw.apache?.http, web.http);
  const https = read(['apache', 'https'], raw.apache?.https, web.https);
  const host = readStatusHost(scope);
  const readStatus = (path: Path, value: string | undefined, otherwise: string): Server => {
    const server = read(path, value, otherwise);
    return host === undefined ? server : { ...server, listen: { ...server.listen, host } };
  };
  const apacheStatus = readStatus(['apache', 'status'], raw.apache?.status, DEFAULTS.apacheStatus);
  const admin = read(['admin', 'listen'], raw.admin?.listen, DEFAULTS.adminListen);
  const adminStatus = readStatus(['admin', 'status'], raw.admin?.status, DEFAULTS.adminStatus);
  const status = readStatus(['certificateService', 'status'], raw.certificateService?.status, DEFAULTS.certificateServiceStatus);
  const mailStatus = readStatus(['mail', 'status'], raw.mail?.status, DEFAULTS.mailStatus);
  checkCollisions(scope, [http, https, apacheStatus, mailStatus, admin, adminStatus, status]);
  return {
    apache: { http: formatListen(http.listen), https: formatListen(https.listen), status: formatListen(apacheStatus.listen) },
    admin: { listen: formatListen(admin.listen), status: formatListen(adminStatus.listen) },
    certificateService: { status: formatListen(status.listen) },
    mail: { status: formatListen(mailStatus.listen) },
  };
}

function readStatusHost(scope: Scope): string | undefined {
  const given = scope.settings.statusHost;
  if (given === undefined) return undefined;
  const found = parseListen(formatListen({ host: given.replaceAll(/^\[|\]$/g, ''), port: 1 }));
  if (found === undefined)
    scope.report({ variable: VARIABLES.statusHost }, `${JSON.stringify(short(given))} is no address`, 'write it like 0.0.0.0');
  return found?.host;
}

function checkCollisions(scope: Scope, servers: readonly Server[]): void {
  for (const [index, server] of servers.entries()) {
    for (const earlier of servers.slice(0, index)) {
      if (!collide(server.listen, earlier.listen)) continue;
      const [blamed, other] = server.given ? [server, earlier] : [earlier, server];
      const port = blamed.listen.port;
      if (server.path[0] === earlier.path[0]) {
        scope.report({ path: blamed.path }, `port ${port} is taken by ${formatPath(other.path)}`, 'give each its own port');
      } else {
        scope.warn(`${formatPath(blamed.path)} and ${formatPath(other.path)} both take port ${port}: they cannot run on the same host`);
      }
    }
  }
}
