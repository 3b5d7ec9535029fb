import { addressOctets, type Identifier } from '../../certificate/identifier.ts';
import { network, type NameConstraints, type Network } from '../../x509/name-constraints.ts';

/** Loopback, RFC 1918, link-local, RFC 6598 shared, unique local (RFC 4193): nobody owns these in public. */
const PRIVATE_NETWORKS: readonly Network[] = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '169.254.0.0/16',
  '100.64.0.0/10',
  '::1/128',
  'fc00::/7',
  'fe80::/10',
].map(network);

/**
 * What a root for these identifiers may sign: each name and what lies below it (for a wildcard the name under the
 * star), `localhost`, private addresses, and each further address alone.
 */
export function constraintsFor(identifiers: readonly Identifier[]): NameConstraints {
  const names = new Set(['localhost', ...identifiers.filter(({ type }) => type === 'dns').map(baseName)]);
  const addresses = new Set(identifiers.filter(({ type }) => type === 'ip').map(({ value }) => value));
  return {
    domains: new Set([...names].filter((name) => !coveredBy(names, parentOf(name)))),
    networks: [...PRIVATE_NETWORKS, ...[...addresses].filter((address) => !inNetworks(PRIVATE_NETWORKS, address)).map(network)],
  };
}

/** Whether a root with these constraints may sign for every one of the identifiers. */
export function permitsAll(constraints: NameConstraints, identifiers: readonly Identifier[]): boolean {
  return identifiers.every((identifier) =>
    identifier.type === 'dns' ? coveredBy(constraints.domains, baseName(identifier)) : inNetworks(constraints.networks, identifier.value),
  );
}

/** Whether everything that `inner` permits is permitted by `outer` too. */
export function includes(outer: NameConstraints, inner: NameConstraints): boolean {
  return (
    [...inner.domains].every((domain) => coveredBy(outer.domains, domain)) &&
    inner.networks.every((one) => outer.networks.some((other) => other.bits <= one.bits && contains(other, one.octets)))
  );
}

function baseName({ value }: Identifier): string {
  return value.startsWith('*.') ? value.slice(2) : value;
}

/** Walks up from the name itself, so that a thousand domains cost a look-up per label. */
function coveredBy(domains: ReadonlySet<string>, name: string | undefined): boolean {
  for (let at = name; at !== undefined; at = parentOf(at)) if (domains.has(at)) return true;
  return false;
}

function parentOf(name: string): string | undefined {
  const dot = name.indexOf('.');
  return dot === -1 ? undefined : name.slice(dot + 1);
}

function inNetworks(networks: readonly Network[], address: string): boolean {
  const octets = addressOctets(address);
  return networks.some((one) => contains(one, octets));
}

function contains({ octets, bits }: Network, address: Uint8Array): boolean {
  if (octets.length !== address.length) return false;
  return octets.every((octet, index) => {
    const mask = (0xff00 >> Math.max(0, Math.min(8, bits - index * 8))) & 0xff;
    return (octet & mask) === ((address[index] ?? 0) & mask);
  });
}
