import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';

import { PodserveError } from '../platform/errors.ts';

/** What a certificate speaks for: RFC 5280 §4.2.1.6 dNSName or iPAddress, in canonical form. */
export interface Identifier {
  readonly type: 'dns' | 'ip';
  /** Lower-case A-labels (`*.` first for a wildcard), or the address as `formatAddress` writes it. */
  readonly value: string;
}

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const LONGEST_NAME = 253;

/**
 * Reads one configured name: DNS name, wildcard (leftmost label only), internationalised name
 * (to A-labels by UTS 46), IPv4 or IPv6 address (brackets allowed).
 * @throws PodserveError IDENTIFIER_INVALID, saying what is wrong with it
 */
export function parseIdentifier(text: string): Identifier {
  const trimmed = text.trim();
  const bare = /^\[(.*)\]$/.exec(trimmed)?.[1] ?? trimmed;
  if (isAddress(bare)) return { type: 'ip', value: canonicalAddress(bare, text) };
  return { type: 'dns', value: canonicalName(trimmed, text) };
}

/** Only what has a colon is tried as IPv6: the first such try in a process costs ten milliseconds. */
function isAddress(text: string): boolean {
  return text.includes(':') ? isIPv6(text) : isIPv4(text);
}

/** Reads many, dropping repetitions, keeping the order. */
export function parseIdentifiers(texts: readonly string[]): Identifier[] {
  const byValue = new Map<string, Identifier>();
  for (const text of texts) {
    const identifier = parseIdentifier(text);
    byValue.set(identifier.value, identifier);
  }
  return [...byValue.values()];
}

/** Whether a certificate that carries `have` speaks for `wanted` (RFC 9525 §6.3: one label per wildcard). */
export function covers(have: readonly Identifier[], wanted: Identifier): boolean {
  return have.some((one) => one.type === wanted.type && (one.value === wanted.value || matchesWildcard(one, wanted)));
}

/** The name as people write it: U-labels instead of A-labels. */
export function displayIdentifier(identifier: Identifier): string {
  if (identifier.type === 'ip') return identifier.value;
  const wildcard = isWildcard(identifier);
  const plain = wildcard ? identifier.value.slice(2) : identifier.value;
  return (wildcard ? '*.' : '') + (domainToUnicode(plain) || plain);
}

function isWildcard(identifier: Identifier): boolean {
  return identifier.type === 'dns' && identifier.value.startsWith('*.');
}

/** Network-order octets of an address in canonical form: 4 or 16. */
export function addressOctets(address: string): Uint8Array {
  if (!address.includes(':')) return Uint8Array.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const left = groupsOf(head);
  const right = groupsOf(tail);
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function groupsOf(part: string): number[] {
  return part === '' ? [] : part.split(':').flatMap(groupValues);
}

function groupValues(group: string): number[] {
  if (!group.includes('.')) return [Number.parseInt(group, 16)];
  const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
  return [(a << 8) | b, (c << 8) | d];
}

function matchesWildcard(pattern: Identifier, wanted: Identifier): boolean {
  if (!isWildcard(pattern) || isWildcard(wanted)) return false;
  const dot = wanted.value.indexOf('.');
  return dot > 0 && wanted.value.slice(dot) === pattern.value.slice(1);
}

function canonicalAddress(address: string, text: string): string {
  if (address.includes('%')) throw invalid(text, 'an address with a zone cannot stand in a certificate', 'leave out the part from % on');
  if (!address.includes(':')) return address;
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function canonicalName(name: string, text: string): string {
  if (name === '') throw invalid(text, 'it is empty', 'give a name such as www.example.org');
  const wildcard = name.startsWith('*.');
  const plain = (wildcard ? name.slice(2) : name).replace(/\.$/, '');
  if (plain.includes('*')) throw invalid(text, 'a wildcard may only be the whole leftmost label', 'write *.example.org');
  if (/[\s/:@?#\\]/.test(plain)) throw invalid(text, 'it is not a DNS name', 'give the bare name, without scheme, port or path');
  const ascii = plain === '' ? '' : domainToASCII(plain);
  if (ascii === '') throw invalid(text, 'it is not a DNS name', 'give a name such as www.example.org');
  if (isAddress(ascii)) throw invalid(text, `it reads as the address ${ascii}`, `write ${ascii}, or a name`);
  const full = wildcard ? `*.${ascii}` : ascii;
  if (full.length > LONGEST_NAME)
    throw invalid(text, `it has ${full.length} characters; a DNS name has at most ${LONGEST_NAME}`, 'shorten it');
  for (const label of ascii.split('.')) checkLabel(label, text);
  if (wildcard && !ascii.includes('.')) throw invalid(text, 'a wildcard needs at least two labels after it', 'write *.example.org');
  return full;
}

function checkLabel(label: string, text: string): void {
  if (label === '') throw invalid(text, 'it has an empty label', 'remove the double dot');
  if (label.length > 63)
    throw invalid(text, `the label ${label.slice(0, 12)}… has ${label.length} characters; a label has at most 63`, 'shorten it');
  if (!LABEL.test(label)) throw invalid(text, `the label ${label} has characters that DNS names do not`, 'use letters, digits and hyphens');
}

function invalid(text: string, why: string, remedy: string): PodserveError {
  const shown = text.length > 80 ? `${text.slice(0, 77)}…` : text;
  return new PodserveError('IDENTIFIER_INVALID', 'this name cannot stand in a certificate', { where: JSON.stringify(shown), why, remedy });
}
