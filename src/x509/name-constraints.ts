import { addressOctets } from '../certificate/identifier.ts';
import { extensionValue } from './certificate-reader.ts';
import { elements, type Element } from './der-reader.ts';
import { constructed, objectIdentifier, primitive, sequence } from './der.ts';
import { extension } from './extensions.ts';

/** Addresses that share their first `bits` bits. */
export interface Network {
  /** Network-order octets: 4 or 16. */
  readonly octets: Uint8Array;
  readonly bits: number;
}

/** The names under which a CA may sign. Of other kinds than these two it may sign none. */
export interface NameConstraints {
  /** Each permits itself and every name below it. Lower-case A-labels. */
  readonly domains: ReadonlySet<string>;
  readonly networks: readonly Network[];
}

const NAME_CONSTRAINTS = objectIdentifier('2.5.29.30');
const RFC822_NAME = 1;
const DNS_NAME = 2;
const URI = 6;
const IP_ADDRESS = 7;

/** A host that cannot exist (RFC 2606 §2). */
const NOWHERE = Buffer.from('podserve.invalid', 'latin1');

/** Text form `10.0.0.0/8` to a network. The address in canonical form. */
export function network(text: string): Network {
  const [address = '', bits] = text.split('/');
  const octets = addressOctets(address);
  return { octets, bits: bits === undefined ? octets.length * 8 : Number(bits) };
}

/** The text form that `network` reads, an address alone without its length. */
export function networkText({ octets, bits }: Network): string {
  const length = bits === octets.length * 8 ? '' : `/${bits}`;
  if (octets.length === 4) return octets.join('.') + length;
  const groups = Buffer.from(octets).toString('hex').match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1) + length;
}

/**
 * RFC 5280 §4.2.1.10, critical. A kind of name that no subtree mentions is not constrained at all, and what
 * an empty subtree means for e-mail and URI is not defined (OpenSSL matches nothing with it). So these two are
 * permitted at a host that cannot exist and excluded there too: every verifier then accepts none.
 */
export function nameConstraints(constraints: NameConstraints): Buffer {
  const nowhere = [subtree(RFC822_NAME, NOWHERE), subtree(URI, NOWHERE)];
  const permitted = [
    ...[...constraints.domains].map((domain) => subtree(DNS_NAME, Buffer.from(domain, 'latin1'))),
    ...constraints.networks.map(({ octets, bits }) => subtree(IP_ADDRESS, Buffer.concat([octets, mask(octets.length, bits)]))),
    ...nowhere,
  ];
  return extension(NAME_CONSTRAINTS, true, sequence(constructed(0, ...permitted), constructed(1, ...nowhere)));
}

/**
 * The DNS and address subtrees that a certificate permits, or undefined when it has no name constraints.
 * @throws RangeError when it is not DER
 */
export function readNameConstraints(certificate: Uint8Array): NameConstraints | undefined {
  const value = extensionValue(certificate, NAME_CONSTRAINTS);
  if (value === undefined) return undefined;
  const permitted = elements(elements(value)[0]?.contents ?? value).find(({ tag }) => tag === 0xa0);
  const bases = elements(permitted?.contents ?? new Uint8Array()).flatMap(({ contents }) => elements(contents).slice(0, 1));
  return {
    domains: new Set(ofKind(bases, DNS_NAME).map((contents) => Buffer.from(contents).toString('latin1'))),
    networks: ofKind(bases, IP_ADDRESS).map(networkOf),
  };
}

function ofKind(bases: readonly Element[], kind: number): Uint8Array[] {
  return bases.filter(({ tag }) => tag === (0x80 | kind)).map(({ contents }) => contents);
}

function networkOf(contents: Uint8Array): Network {
  const half = contents.length / 2;
  const ones = [...contents.subarray(half)].map((octet) => octet.toString(2).replaceAll('0', '').length);
  return { octets: Uint8Array.from(contents.subarray(0, half)), bits: ones.reduce((sum, count) => sum + count, 0) };
}

function subtree(kind: number, base: Uint8Array): Buffer {
  return sequence(primitive(kind, base));
}

function mask(octets: number, bits: number): Uint8Array {
  return Uint8Array.from({ length: octets }, (_, index) => (0xff00 >> Math.max(0, Math.min(8, bits - index * 8))) & 0xff);
}
