import { covers, parseIdentifier, type Identifier } from '../../certificate/identifier.ts';

/** Names of this host in URLs that need no configuration. */
const LOOPBACK = ['localhost', '127.0.0.1', '::1'].map(parseIdentifier);

/**
 * Whether a request was made for one of our names. A page of somebody else whose name was pointed at this address
 * (DNS rebinding) asks for its own name, and must not read anything here. Addresses cannot be rebound: that which
 * the connection came in on is ours by itself.
 * @param host the Host field (RFC 9110 §7.2)
 */
export function isOurHost(host: string | undefined, ours: readonly Identifier[], localAddress: string | undefined): boolean {
  const name = /^(\[[^\]]+\]|[^:]+)(?::\d+)?$/.exec(host ?? '')?.[1];
  if (name === undefined) return false;
  try {
    const identifier = parseIdentifier(name.replace(/\.$/, ''));
    if (covers([...LOOPBACK, ...ours], identifier)) return true;
    return localAddress !== undefined && identifier.type === 'ip' && identifier.value === plainAddress(localAddress);
  } catch {
    return false;
  }
}

/** `127.0.0.1` for `::ffff:127.0.0.1`, as a socket of both families shows it. */
function plainAddress(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '');
  return parseIdentifier(plain).value;
}
