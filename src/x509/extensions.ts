import { addressOctets, type Identifier } from '../certificate/identifier.ts';
import { TRUE, constructed, namedBits, objectIdentifier, octetString, primitive, sequence, unsignedInteger } from './der.ts';

/** Bits of KeyUsage (RFC 5280 §4.2.1.3). */
const KEY_USAGE = { digitalSignature: 0, keyEncipherment: 2, keyCertSign: 5, cRLSign: 6 } as const;
type KeyUsage = keyof typeof KEY_USAGE;

export const SUBJECT_KEY_IDENTIFIER = objectIdentifier('2.5.29.14');
const KEY_USAGE_EXTENSION = objectIdentifier('2.5.29.15');
const SUBJECT_ALTERNATIVE_NAME = objectIdentifier('2.5.29.17');
const BASIC_CONSTRAINTS = objectIdentifier('2.5.29.19');
export const AUTHORITY_KEY_IDENTIFIER = objectIdentifier('2.5.29.35');
const EXTENDED_KEY_USAGE = objectIdentifier('2.5.29.37');
const ACME_IDENTIFIER = objectIdentifier('1.3.6.1.5.5.7.1.31');

/** One Extension (RFC 5280 §4.1) around the DER of its value. */
export function extension(identifier: Uint8Array, critical: boolean, value: Uint8Array): Buffer {
  return critical ? sequence(identifier, TRUE, octetString(value)) : sequence(identifier, octetString(value));
}

/** RFC 5280 §4.2.1.6: dNSName and iPAddress. It must be critical where the subject is empty. */
export function subjectAlternativeName(identifiers: readonly Identifier[], critical: boolean): Buffer {
  return extension(SUBJECT_ALTERNATIVE_NAME, critical, sequence(...identifiers.map(generalName)));
}

/** RFC 5280 §4.2.1.3, critical. */
export function keyUsage(...usages: readonly KeyUsage[]): Buffer {
  return extension(KEY_USAGE_EXTENSION, true, namedBits(...usages.map((usage) => KEY_USAGE[usage])));
}

/** RFC 5280 §4.2.1.12 with id-kp-serverAuth alone. */
export const SERVER_AUTH_ONLY: Buffer = extension(EXTENDED_KEY_USAGE, false, sequence(objectIdentifier('1.3.6.1.5.5.7.3.1')));

/** RFC 5280 §4.2.1.9 with cA FALSE, critical. */
export const END_ENTITY: Buffer = extension(BASIC_CONSTRAINTS, true, sequence());

/** RFC 5280 §4.2.1.9 with cA TRUE and no CA below it, critical. */
export const CA_OF_LEAVES: Buffer = extension(BASIC_CONSTRAINTS, true, sequence(TRUE, unsignedInteger(Uint8Array.of(0))));

/** RFC 5280 §4.2.1.2. */
export function subjectKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(SUBJECT_KEY_IDENTIFIER, false, octetString(identifier));
}

/** RFC 5280 §4.2.1.1 with keyIdentifier alone. */
export function authorityKeyIdentifier(identifier: Uint8Array): Buffer {
  return extension(AUTHORITY_KEY_IDENTIFIER, false, sequence(primitive(0, identifier)));
}

/** id-pe-acmeIdentifier (RFC 8737 §3), critical. @param digest SHA-256 of the key authorization */
export function acmeIdentifier(digest: Uint8Array): Buffer {
  return extension(ACME_IDENTIFIER, true, octetString(digest));
}

function generalName(identifier: Identifier): Buffer {
  return identifier.type === 'dns' ? primitive(2, Buffer.from(identifier.value, 'latin1')) : primitive(7, addressOctets(identifier.value));
}

/** Several extensions as the certificate's field `[3]`. */
export function extensionsField(extensions: readonly Uint8Array[]): Buffer {
  return constructed(3, sequence(...extensions));
}
