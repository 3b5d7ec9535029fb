import { DAY } from '../platform/clock.ts';
import { readFilePath } from './apache.ts';
import { readDuration } from './certificates.ts';
import type { ChallengeConfig, DnsPropagationConfig } from './config.ts';
import { DEFAULTS } from './defaults.ts';
import type { HostTraits } from './host.ts';
import { formatListen, parseListen, parseServer } from './listen.ts';
import { short, type Path } from './problem.ts';
import { elements, isFlawed, sourced, type Scope } from './scope.ts';
import type { RawIssuer } from './shape.ts';

type RawDns = NonNullable<RawIssuer['dns01']>;

/** The key that holds the settings of each challenge. */
export const CHALLENGE_KEYS = { 'http-01': 'http01', 'tls-alpn-01': 'tlsAlpn01', 'dns-01': 'dns01' } as const;

/** How an issuer is shown that the names are ours. Settings of a challenge that is not chosen contradict. */
export function interpretChallenge(scope: Scope, raw: RawIssuer, path: Path, traits: HostTraits): ChallengeConfig {
  const chosen = sourced(scope, 'challenge', raw.challenge, [...path, 'challenge']);
  const type = chosen?.value ?? DEFAULTS.challenge;
  for (const [other, key] of Object.entries(CHALLENGE_KEYS)) {
    if (other === type || raw[key] === undefined || isFlawed(scope, [...path, 'challenge'])) continue;
    const here = [...path, key];
    if (scope.settings.challenge !== undefined) scope.warn(`${here.join('.')} is not used: CERT_CHALLENGE is ${type}`);
    else
      scope.report(
        { path: here, of: 'key' },
        `the challenge is ${type}, and this belongs to ${other}`,
        `remove it, or write challenge: ${other}`,
      );
  }
  if (type === 'http-01') return interpretHttp(scope, raw.http01 ?? {}, [...path, 'http01']);
  if (type === 'dns-01') return interpretDns(scope, raw.dns01, [...path, 'dns01'], chosen?.place ?? { path });
  const listen = readListen(scope, raw.tlsAlpn01?.listen, [...path, 'tlsAlpn01', 'listen']);
  const everywhere = formatListen({ host: traits.ipv6 ? '::' : '0.0.0.0', port: DEFAULTS.httpsPort });
  return { type, via: 'listen', listen: listen ?? everywhere };
}

function interpretHttp(scope: Scope, { webroot, listen }: NonNullable<RawIssuer['http01']>, path: Path): ChallengeConfig {
  if (webroot !== undefined && listen !== undefined) {
    scope.report({ path }, 'tokens are either put into webroot or served at listen, and this has both', 'remove one of them');
  }
  const own = readListen(scope, listen, [...path, 'listen']);
  if (own !== undefined) return { type: 'http-01', via: 'listen', listen: own };
  return {
    type: 'http-01',
    via: 'webroot',
    webroot: webroot === undefined ? undefined : readFilePath(scope, webroot, [...path, 'webroot']),
  };
}

function interpretDns(scope: Scope, raw: RawDns | undefined, path: Path, chosen: Parameters<Scope['report']>[0]): ChallengeConfig {
  const { server, tsigKeyFile, exec } = raw ?? {};
  const propagation = readPropagation(scope, raw?.propagation, [...path, 'propagation']);
  const update = server !== undefined || tsigKeyFile !== undefined;
  if (exec !== undefined && update) {
    scope.report({ path }, 'records are set either by exec or at a server, and this has both', 'remove exec, or server and tsigKeyFile');
  }
  if (exec === undefined && !update && !isFlawed(scope, path)) {
    scope.report(
      raw === undefined ? chosen : { path },
      'dns-01 needs a way to set records',
      `give ${path.join('.')} either server and tsigKeyFile, or exec`,
    );
  }
  if (exec === undefined && update && !isFlawed(scope, path)) reportHalf(scope, { server, tsigKeyFile }, path);
  if (exec !== undefined) {
    const file = readFilePath(scope, exec, [...path, 'exec']);
    // A bare name is looked for in PATH, as everywhere.
    return { type: 'dns-01', via: 'exec', exec: exec.includes('/') ? file : exec, propagation };
  }
  return {
    type: 'dns-01',
    via: 'update',
    server: server === undefined ? '' : readServer(scope, server, [...path, 'server']),
    tsigKeyFile: tsigKeyFile === undefined ? '' : readFilePath(scope, tsigKeyFile, [...path, 'tsigKeyFile']),
    propagation,
  };
}

function reportHalf(scope: Scope, { server, tsigKeyFile }: Pick<RawDns, 'server' | 'tsigKeyFile'>, path: Path): void {
  if (tsigKeyFile === undefined) {
    scope.report({ path }, 'updates are signed, and there is no tsigKeyFile', 'name a file with the key in the form of tsig-keygen');
  }
  if (server === undefined) {
    scope.report({ path }, 'there is no server that the records are sent to', 'give its host:port in server');
  }
}

function readPropagation(scope: Scope, raw: RawDns['propagation'], path: Path): DnsPropagationConfig {
  const servers = elements(raw?.servers, [...path, 'servers']).map(({ value, path: at }) => readServer(scope, value, at));
  const timeout =
    raw?.timeout === undefined ? undefined : readDuration(scope, { value: raw.timeout, place: { path: [...path, 'timeout'] } });
  if (timeout !== undefined && timeout > DAY) {
    scope.report({ path: [...path, 'timeout'] }, 'no order lives as long', 'write a day at most; minutes are what DNS takes');
  }
  return { servers: [...new Set(servers)], timeout: timeout ?? DEFAULTS.propagationTimeout };
}

/** `host:port` of a DNS server, port 53 where none is given; reported where it is none. */
export function readServer(scope: Scope, value: string, path: Path): string {
  const server = parseServer(value, DEFAULTS.dnsPort);
  if (server !== undefined) return formatListen(server);
  scope.report({ path }, `${JSON.stringify(short(value))} is no server`, 'write host, host:port or "[address]:port"');
  return value;
}

function readListen(scope: Scope, value: string | undefined, path: Path): string | undefined {
  if (value === undefined) return undefined;
  const listen = parseListen(value);
  if (listen !== undefined) return formatListen(listen);
  scope.report({ path }, `${JSON.stringify(short(value))} is no place to listen`, 'write host:port, e.g. "[::]:80", or 80 in quotes');
  return undefined;
}
