import type { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';

import { identifiersOf, leafSha256 } from '../certificate/bundle.ts';
import { displayIdentifier, parseIdentifier } from '../certificate/identifier.ts';
import { systemClock, type Clock } from '../platform/clock.ts';
import { connectSecurely } from './connect.ts';
import { serverNameFor, type Endpoint } from './endpoint.ts';
import { ProbeFailure, harmless } from './failure.ts';
import { judge, oneLineName } from './judge.ts';

export interface ProbeOptions {
  /**
   * The name or address that the certificate must speak for; `*.x` is asked for as `podserve-probe.x`.
   * Sent as SNI unless it is an address. Undefined: the endpoint's host.
   */
  readonly servername: string | undefined;
  /** For everything together, ms. */
  readonly timeoutMs: number;
  /** For each step, ms. Default: `timeoutMs`. */
  readonly stepTimeoutMs?: number;
  readonly signal?: AbortSignal;
  /** PEM roots. Default: those that this host trusts. */
  readonly trust?: string;
  /** The leaf that must be served. It is trusted: pinned by its fingerprint, it needs no root. */
  readonly expected?: X509Certificate;
  readonly clock?: Clock;
}

/** One certificate as served. Foreign text in it is made harmless. */
interface ServedCertificate {
  readonly subject: string;
  readonly issuer: string;
  readonly serial: string;
  /** ISO 8601, UTC. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Lower-case hex. */
  readonly sha256: string;
}

export interface Served {
  /** `address:port` that the connection led to. */
  readonly address: string;
  /** `TLSv1.3` */
  readonly protocol: string;
  readonly cipher: string;
  /** Leaf first. */
  readonly chain: readonly ServedCertificate[];
  /** What the leaf speaks for. */
  readonly names: readonly string[];
  readonly leafSha256: string;
}

export interface ProbeResult {
  readonly endpoint: Endpoint;
  /** The name that the certificate had to speak for. */
  readonly name: string;
  /** The SNI that was sent. */
  readonly serverName: string | undefined;
  /** Undefined when there was no handshake. */
  readonly served: Served | undefined;
  /** Empty: everything is right. */
  readonly failures: readonly ProbeFailure[];
  readonly tookMs: number;
}

/**
 * Shakes hands with one endpoint and judges what it serves: name, chain, dates, and the leaf if one is expected.
 * What is wrong is in `failures`; it throws only the signal's reason and mistakes of the caller.
 */
export async function probe(endpoint: Endpoint, options: ProbeOptions): Promise<ProbeResult> {
  const began = performance.now();
  const name = nameToJudge(options.servername ?? endpoint.host);
  const serverName = serverNameFor(name);
  const trust = await trustOf(options);
  const secureContext = createSecureContext({ ca: trust, allowPartialTrustChain: true });
  const done = (served: Served | undefined, failures: readonly ProbeFailure[]): ProbeResult => {
    return { endpoint, name, serverName, served, failures, tookMs: Math.round(performance.now() - began) };
  };
  try {
    const { socket, address, hangUp } = await connectSecurely(endpoint, { ...options, serverName, secureContext });
    const chain = servedChain(socket);
    const chainError = socket.authorized ? undefined : String(socket.authorizationError);
    const { protocol, cipher } = { protocol: socket.getProtocol() ?? 'unknown', cipher: socket.getCipher().name };
    hangUp();
    const served = describe(chain, { address, protocol, cipher });
    const findings = judge({ chain, name, chainError, trust, now: (options.clock ?? systemClock).now() });
    const afterMs = performance.now() - began;
    const failures = findings.map(({ step, detail }) => new ProbeFailure(endpoint, step, { ...detail, afterMs }));
    return done(served, [...failures, ...unexpected(endpoint, served, options.expected, afterMs)]);
  } catch (error) {
    if (error instanceof ProbeFailure) return done(undefined, [error]);
    throw error;
  }
}

export interface FingerprintOptions {
  /** As for `probe`. */
  readonly servername: string | undefined;
  readonly timeoutMs: number;
  readonly stepTimeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** From `fingerprintContext`, shared by many. */
  readonly secureContext?: SecureContext;
}

/**
 * The fingerprint of the leaf that is served, lower-case hex; no root is loaded and nothing judged.
 * @throws ProbeFailure at tcp, greeting, starttls or handshake; the signal's reason
 */
export async function servedLeafSha256(endpoint: Endpoint, options: FingerprintOptions): Promise<string> {
  const serverName = serverNameFor(nameToJudge(options.servername ?? endpoint.host));
  const secureContext = options.secureContext ?? fingerprintContext();
  const { socket, hangUp } = await connectSecurely(endpoint, { ...options, serverName, secureContext });
  const { fingerprint256 } = socket.getPeerCertificate();
  hangUp();
  return fingerprint256.replaceAll(':', '').toLowerCase();
}

/** A TLS context that trusts nothing, for handshakes in which only the leaf is looked at. */
export function fingerprintContext(): SecureContext {
  // An empty list keeps Node from reading its own roots.
  return createSecureContext({ ca: [] });
}

/** A host's zone (fe80::1%eth0) is where to connect, not part of what a certificate can say. */
function nameToJudge(servername: string): string {
  const name = parseIdentifier(servername.replace(/%.*$/, '')).value;
  return serverNameFor(name) ?? name;
}

async function trustOf(options: ProbeOptions): Promise<string> {
  const roots = options.trust ?? (await import('./roots.ts')).systemRoots();
  return options.expected === undefined ? roots : `${roots}\n${options.expected.toString()}`;
}

function servedChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  // This walk follows what was sent; getPeerCertificate(true) would sort it and add the root from the store.
  for (let next = socket.getPeerX509Certificate(); next !== undefined; next = next.issuerCertificate) chain.push(next);
  return chain;
}

function describe(chain: readonly X509Certificate[], connection: Pick<Served, 'address' | 'protocol' | 'cipher'>): Served {
  const [leaf] = chain;
  return {
    ...connection,
    chain: chain.map((certificate) => ({
      subject: harmless(oneLineName(certificate.subject)),
      issuer: harmless(oneLineName(certificate.issuer)),
      serial: certificate.serialNumber.toLowerCase(),
      notBefore: certificate.validFromDate.toISOString(),
      notAfter: certificate.validToDate.toISOString(),
      sha256: leafSha256(certificate),
    })),
    names: leaf === undefined ? [] : identifiersOf(leaf).map(displayIdentifier),
    leafSha256: leaf === undefined ? '' : leafSha256(leaf),
  };
}

function unexpected(endpoint: Endpoint, served: Served, expected: X509Certificate | undefined, afterMs: number): ProbeFailure[] {
  if (expected === undefined) return [];
  const wanted = leafSha256(expected);
  if (served.leafSha256 === wanted) return [];
  const why = `expected the leaf ${wanted}, valid to ${expected.validToDate.toISOString()}, and got ${served.leafSha256}, valid to ${served.chain[0]?.notAfter}`;
  return [new ProbeFailure(endpoint, 'fingerprint', { why, remedy: 'reload the service; if it stays, see its log', afterMs })];
}
