import { BlockList } from 'node:net';

import { displayIdentifier, type Identifier } from '../certificate/identifier.ts';

/**
 * Top-level domains that are kept for private use, for tests or for other purposes than DNS (RFC 6761, 6762, 7686, 9476,
 * ICANN's resolutions on .internal and on .home, .corp and .mail), and those that devices give themselves.
 */
const PRIVATE_DOMAINS = [
  'alt',
  'corp',
  'example',
  'home',
  'home.arpa',
  'internal',
  'intranet',
  'invalid',
  'lan',
  'local',
  'localdomain',
  'localhost',
  'mail',
  'onion',
  'private',
  'test',
];

/** IANA's special-purpose address registries: what is not globally reachable. */
const PRIVATE_V4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const;
const GLOBAL_V6 = ['2000::', 3] as const;
const PRIVATE_V6 = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const;

/** Why no public CA certifies an identifier, in one clause, or undefined where one may. */
export function whyNotPublic(identifier: Identifier): string | undefined {
  const shown = displayIdentifier(identifier);
  if (identifier.type === 'ip') {
    return isPublicAddress(identifier.value) ? undefined : `${shown} is no address of the public Internet`;
  }
  const name = identifier.value.replace(/^\*\./, '');
  if (name === 'localhost') return 'localhost is the name of every host';
  if (!name.includes('.')) return `${shown} is a single label, no name of the public DNS`;
  const kept = PRIVATE_DOMAINS.find((domain) => name === domain || name.endsWith(`.${domain}`));
  return kept === undefined ? undefined : `${shown} is no public name: .${kept} is not in the public DNS`;
}

function isPublicAddress(address: string): boolean {
  const list = new BlockList();
  if (!address.includes(':')) {
    for (const [net, prefix] of PRIVATE_V4) list.addSubnet(net, prefix, 'ipv4');
    return !list.check(address, 'ipv4');
  }
  const whole = new BlockList();
  whole.addSubnet(...GLOBAL_V6, 'ipv6');
  for (const [net, prefix] of PRIVATE_V6) list.addSubnet(net, prefix, 'ipv6');
  return whole.check(address, 'ipv6') && !list.check(address, 'ipv6');
}
