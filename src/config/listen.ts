import { isIPv4, isIPv6 } from 'node:net';

import { parseIdentifier } from '../certificate/identifier.ts';

/** Where a server listens. `host` is an address or name, IPv6 without brackets. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** What the JSON schema says of such a text; `parseListen` is stricter. */
export const LISTEN_PATTERN = '^(.+:)?[0-9]{1,5}$';

/**
 * Reads `host:port`, with IPv6 addresses in brackets; `80`, `:80` and `*:80` mean every address.
 * Undefined when it is something else.
 */
export function parseListen(text: string): Listen | undefined {
  const [, before = '', digits] = /^(?:(.*):)?([0-9]{1,5})$/.exec(text.trim()) ?? [];
  const port = Number(digits);
  if (digits === undefined || port < 1 || port > 65_535) return undefined;
  if (before === '' || before === '*') return { host: '::', port };
  const bracketed = /^\[(.+)\]$/.exec(before)?.[1];
  if (bracketed !== undefined) return isIPv6Address(bracketed) ? { host: bracketed, port } : undefined;
  if (before.includes(':')) return undefined;
  if (isIPv4(before)) return { host: before, port };
  return hostName(before, port);
}

/**
 * Reads a server to connect to: `host`, `host:port`, a bare IPv6 address or one in brackets.
 * Undefined when it is something else, or every address.
 */
export function parseServer(text: string, port: number): Listen | undefined {
  const trimmed = text.trim();
  const bare = /^\[(.+)\]$/.exec(trimmed)?.[1] ?? trimmed;
  if (isIPv6Address(bare)) return isEvery(bare) ? undefined : { host: bare, port };
  const server = parseListen(/:[0-9]+$/.test(trimmed) ? trimmed : `${trimmed}:${port}`);
  return server === undefined || isEvery(server.host) ? undefined : server;
}

/** The first call of node:net's own check costs ten milliseconds, which the default listeners need not pay. */
function isIPv6Address(text: string): boolean {
  return text === '::' || (text.includes(':') && isIPv6(text));
}

/** `host:port`, IPv6 in brackets: what `parseListen` reads back. */
export function formatListen({ host, port }: Listen): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Whether two servers could not listen at both: same port, and one address takes in the other. */
export function collide(one: Listen, other: Listen): boolean {
  return (
    one.port === other.port && (one.host === other.host || isEvery(one.host) || isEvery(other.host) || bothLocal(one.host, other.host))
  );
}

/** A name that reaches the server from this host, for URLs. */
export function reachableHost(host: string): string {
  return isEvery(host) ? 'localhost' : host;
}

function isEvery(host: string): boolean {
  return host === '::' || host === '0.0.0.0';
}

function bothLocal(one: string, other: string): boolean {
  const loopback = ['127.0.0.1', '::1'];
  return (one === 'localhost' && loopback.includes(other)) || (other === 'localhost' && loopback.includes(one));
}

function hostName(name: string, port: number): Listen | undefined {
  try {
    const { value } = parseIdentifier(name);
    return value.startsWith('*.') ? undefined : { host: value, port };
  } catch {
    return undefined;
  }
}
