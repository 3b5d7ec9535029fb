import { existsSync, readFileSync } from 'node:fs';

/** What this host and user allow: it decides the default ports of `podserve apache`, and nothing else. */
export interface HostTraits {
  /** Whether ports below 1024 may be opened. */
  readonly lowPorts: boolean;
  /** Whether the kernel has IPv6; `[::]` then takes IPv4 too. */
  readonly ipv6: boolean;
}

const CAP_NET_BIND_SERVICE = 10n;

/** Reads the traits from /proc; where that says nothing, those of an ordinary user on an ordinary host. */
export function hostTraits(): HostTraits {
  const unprivilegedFrom = Number(read('/proc/sys/net/ipv4/ip_unprivileged_port_start') ?? 1024);
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(read('/proc/self/status') ?? '')?.[1] ?? '0';
  const capable = ((BigInt(`0x${capabilities}`) >> CAP_NET_BIND_SERVICE) & 1n) === 1n;
  return { lowPorts: capable || unprivilegedFrom <= 80, ipv6: existsSync('/proc/net/if_inet6') };
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
