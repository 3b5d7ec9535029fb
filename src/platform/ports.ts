import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';

import { PodserveError, systemCode } from './errors.ts';

/** Where somebody wants to listen; IPv6 without brackets. */
export interface Place {
  readonly host: string;
  readonly port: number;
  /** Where the configuration says so, e.g. `apache.http`, for the remedy. */
  readonly setting: string;
}

/**
 * Proves that a TCP port can be listened on, by doing so for a moment. Daemons say it later, in more words
 * and often by dying.
 * @throws PodserveError PORT_TAKEN naming who holds it, where that can be seen; PORT_DENIED
 */
export async function assertPortFree(place: Place): Promise<void> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host: place.host, port: place.port, exclusive: true }, () => server.close(() => resolve()));
  try {
    await promise;
  } catch (cause) {
    throw listenFailure(place, cause);
  }
}

/** The error that a failed listen shows to people. */
export function listenFailure({ host, port, setting }: Place, cause: unknown): PodserveError {
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  switch (systemCode(cause) ?? '') {
    case 'EADDRINUSE':
      return new PodserveError('PORT_TAKEN', `port ${port} is taken`, {
        where,
        why: holderOf(port) ?? 'another program listens there (it cannot be seen which one)',
        remedy: `stop it, or set ${setting} to another port`,
        cause,
      });
    case 'EACCES':
      return new PodserveError('PORT_DENIED', `port ${port} may not be opened`, {
        where,
        why: 'ports below 1024 belong to root',
        remedy: `set ${setting} to a port above 1023, start as root, or allow it: sysctl net.ipv4.ip_unprivileged_port_start=${port}`,
        cause,
      });
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return new PodserveError('PORT_DENIED', `port ${port} cannot be opened`, {
        where,
        why: 'this host does not have that address',
        remedy: `set ${setting} to an address of this host`,
        cause,
      });
    default:
      return new PodserveError('PORT_DENIED', `port ${port} cannot be opened`, {
        where,
        remedy: `see ${setting} in the configuration`,
        cause,
      });
  }
}

/** `nginx (process 123) listens there`, or undefined. Only root sees the processes of others. */
function holderOf(port: number): string | undefined {
  const inodes = listeningInodes(port);
  if (inodes.size === 0) return undefined;
  for (const pid of list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined && inodes.has(inode)) return `${read(`/proc/${pid}/comm`).trim()} (process ${pid}) listens there`;
    }
  }
  return undefined;
}

/** From /proc/net/tcp and tcp6 (proc(5)): local address, state 0A is LISTEN, the tenth field is the socket's inode. */
function listeningInodes(port: number): Set<string> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const inodes = new Set<string>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of read(file).split('\n')) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(wanted) === true && fields[3] === '0A' && fields[9] !== undefined) inodes.add(fields[9]);
    }
  }
  return inodes;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
