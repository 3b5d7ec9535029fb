import type { Server } from 'node:net';

import { parseListen, type Listen } from '../config/listen.ts';
import { PodserveError, systemCode } from '../platform/errors.ts';
import { listenFailure } from '../platform/ports.ts';

/** What a port is opened for, and what to do where it cannot be had: the CA comes to no other. */
export interface PortPurpose {
  readonly type: 'http-01' | 'tls-alpn-01';
  /** `http01.listen` */
  readonly setting: string;
  /** Completes `stop it, or …`. */
  readonly instead: string;
}

/**
 * Lets a server listen at `host:port`. `[::]` means IPv4 too, and IPv4 alone where the host has no IPv6.
 * @throws PodserveError CHALLENGE_FAILED
 */
export async function listenForChallenges(server: Server, listen: string, purpose: PortPurpose): Promise<void> {
  const place = parseListen(listen);
  if (place === undefined) {
    throw new PodserveError('CHALLENGE_FAILED', `the listener for ${purpose.type} cannot be opened`, {
      where: purpose.setting,
      why: `${JSON.stringify(listen)} is no address to listen on`,
      remedy: 'write HOST:PORT',
    });
  }
  try {
    await listening(server, place);
  } catch (cause) {
    if (place.host === '::' && hasNoIpv6(cause)) return listenForChallenges(server, `0.0.0.0:${place.port}`, purpose);
    throw portFailure(place, purpose, cause);
  }
}

/** The error that a failed listen shows to people. */
export function portFailure(place: Listen, purpose: PortPurpose, cause: unknown): PodserveError {
  const failure = listenFailure({ ...place, setting: purpose.setting }, cause);
  return new PodserveError('CHALLENGE_FAILED', `the listener for ${purpose.type} cannot be opened`, {
    ...(failure.where === undefined ? {} : { where: failure.where }),
    why: failure.why === undefined ? failure.message : `${failure.message}: ${failure.why}`,
    remedy: remedyFor(systemCode(cause), place.port, purpose) ?? failure.remedy ?? `see ${purpose.setting}`,
    cause: failure,
  });
}

function remedyFor(code: string | undefined, port: number, { instead }: PortPurpose): string | undefined {
  if (code === 'EADDRINUSE') return `stop it, or ${instead}`;
  if (code === 'EACCES') return `start as root, or allow it (sysctl net.ipv4.ip_unprivileged_port_start=${port}), or ${instead}`;
  return undefined;
}

function hasNoIpv6(error: unknown): boolean {
  return ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(systemCode(error) ?? '');
}

async function listening(server: Server, { host, port }: Listen): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port, exclusive: true }, resolve);
  try {
    await promise;
  } finally {
    server.off('error', reject);
  }
}
