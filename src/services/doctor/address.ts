import { BlockList, isIP } from 'node:net';

/** From where an address can be reached. */
export type Scope = 'public' | 'private' | 'loopback' | 'link-local' | 'reserved';

/** RFC 6890 and its updates, as far as a server's address can fall into them; the first that fits counts. */
const RANGES: readonly (readonly [Scope, string])[] = [
  ['loopback', '127.0.0.0/8'],
  ['loopback', '::1/128'],
  ['private', '10.0.0.0/8'],
  ['private', '172.16.0.0/12'],
  ['private', '192.168.0.0/16'],
  ['private', '100.64.0.0/10'],
  ['private', 'fc00::/7'],
  ['link-local', '169.254.0.0/16'],
  ['link-local', 'fe80::/10'],
  ['reserved', '0.0.0.0/8'],
  ['reserved', '192.0.0.0/24'],
  ['reserved', '192.0.2.0/24'],
  ['reserved', '198.18.0.0/15'],
  ['reserved', '198.51.100.0/24'],
  ['reserved', '203.0.113.0/24'],
  ['reserved', '224.0.0.0/3'],
  ['reserved', '::/128'],
  ['reserved', '100::/64'],
  ['reserved', '2001:db8::/32'],
  ['reserved', '3fff::/20'],
  ['reserved', 'ff00::/8'],
];

export function scopeOf(address: string): Scope {
  return RANGES.find(([, range]) => contains(range, address))?.[0] ?? 'public';
}

function contains(range: string, address: string): boolean {
  const [network = '', bits] = range.split('/');
  if (isIP(network) !== isIP(address)) return false;
  const list = new BlockList();
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
  list.addSubnet(network, Number(bits), family);
  return list.check(address, family);
}

/** Hosts of directories that only issue for names the whole internet sees. */
const PUBLIC_CAS = [
  'letsencrypt.org',
  'zerossl.com',
  'buypass.com',
  'pki.goog',
  'ssl.com',
  'sectigo.com',
  'digicert.com',
  'globalsign.com',
];

/** Where a CA looks from: the internet, perhaps the own network, or unknown. */
export type Vantage = 'internet' | 'unknown' | 'house';

/** @param caFile roots of the issuer's own: a CA that systems do not trust is one of the house */
export function vantageOf(directory: string, caFile: string | undefined): Vantage {
  const host = URL.canParse(directory) ? new URL(directory).hostname : '';
  if (PUBLIC_CAS.some((ca) => host === ca || host.endsWith(`.${ca}`))) return 'internet';
  return caFile === undefined ? 'unknown' : 'house';
}
