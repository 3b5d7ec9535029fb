import { isIP } from 'node:net';

import { displayIdentifier, parseIdentifier } from '../certificate/identifier.ts';
import { PodserveError, describeError } from '../platform/errors.ts';

/** Every scheme, with its port (`tls` has none) and how TLS begins. */
const SCHEMES = {
  https: { port: 443, preamble: undefined },
  smtp: { port: 25, preamble: 'smtp' },
  submission: { port: 587, preamble: 'smtp' },
  smtps: { port: 465, preamble: undefined },
  imap: { port: 143, preamble: 'imap' },
  imaps: { port: 993, preamble: undefined },
  pop3: { port: 110, preamble: 'pop3' },
  pop3s: { port: 995, preamble: undefined },
  dot: { port: 853, preamble: undefined },
  tls: { port: undefined, preamble: undefined },
} as const satisfies Record<string, { port: number | undefined; preamble: 'smtp' | 'imap' | 'pop3' | undefined }>;

export type Protocol = keyof typeof SCHEMES;
/** What is spoken in plain text before the handshake. */
export type PreambleProtocol = 'smtp' | 'imap' | 'pop3';

/** A place where TLS is served (DESIGN §1). */
export interface Endpoint {
  /** As given. */
  readonly url: string;
  readonly protocol: Protocol;
  /** A-label name, or the address without brackets. */
  readonly host: string;
  readonly port: number;
}

const URL_SHAPE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(\[[^\]]*\]|[^:/?#@[\]]+)(?::(\d+))?\/?$/;

/**
 * Reads `https://host[:port]` and the like; IPv6 addresses stand in brackets, names may be internationalised.
 * @throws PodserveError USAGE, naming the known schemes
 */
export function parseEndpoint(url: string): Endpoint {
  const [, scheme, bracketed, digits] = URL_SHAPE.exec(url) ?? [];
  if (scheme === undefined || bracketed === undefined) throw invalid(url, 'it is not SCHEME://HOST or SCHEME://HOST:PORT');
  const protocol = scheme.toLowerCase();
  if (!isProtocol(protocol)) throw invalid(url, `the scheme ${protocol} is unknown`);
  const host = readHost(bracketed, url);
  const port = digits === undefined ? SCHEMES[protocol].port : Number(digits);
  if (port === undefined) throw invalid(url, `${protocol}:// has no default port`);
  if (port < 1 || port > 65_535) throw invalid(url, `${digits} is no port`);
  return { url, protocol, host, port };
}

/** What must be spoken in plain text before TLS begins, or undefined where TLS begins at once. */
export function preambleOf(protocol: Protocol): PreambleProtocol | undefined {
  return SCHEMES[protocol].preamble;
}

/** The server name to send for a certificate's name: `podserve-probe.x` for `*.x`, none for an address (RFC 6066 §3). */
export function serverNameFor(name: string): string | undefined {
  if (isIP(name) !== 0) return undefined;
  return name.startsWith('*.') ? `podserve-probe${name.slice(1)}` : name;
}

function isProtocol(scheme: string): scheme is Protocol {
  return Object.hasOwn(SCHEMES, scheme);
}

function readHost(text: string, url: string): string {
  const bare = text.startsWith('[') ? text.slice(1, -1) : text;
  if (text.startsWith('[') && isIP(bare) !== 6) throw invalid(url, `${text} is no IPv6 address`);
  // An address may carry a zone here (fe80::1%eth0): it is connected to, not certified.
  if (isIP(bare) !== 0) return bare;
  try {
    const identifier = parseIdentifier(bare);
    if (identifier.value.startsWith('*.')) throw invalid(url, `${displayIdentifier(identifier)} is a pattern, not a host`);
    return identifier.value;
  } catch (cause) {
    if (cause instanceof PodserveError && cause.code === 'USAGE') throw cause;
    throw invalid(url, cause instanceof PodserveError && cause.why !== undefined ? cause.why : describeError(cause));
  }
}

function invalid(url: string, why: string): PodserveError {
  const schemes = Object.keys(SCHEMES)
    .map((scheme) => `${scheme}://`)
    .join(' ');
  return new PodserveError('USAGE', 'this endpoint cannot be probed', {
    where: JSON.stringify(url.length > 120 ? `${url.slice(0, 117)}…` : url),
    why,
    remedy: `write SCHEME://HOST[:PORT] with one of ${schemes} (tls:// needs the port)`,
  });
}
