import { randomBytes } from 'node:crypto';

import { bitString, constructed, sequence, time, unsignedInteger } from './der.ts';
import { extensionsField } from './extensions.ts';
import type { Signer } from './key.ts';

/** What a certificate says. Times in ms since the epoch, whole seconds; both ends belong to the validity. */
export interface CertificateFields {
  /** DER of the Name. */
  readonly issuer: Uint8Array;
  /** DER of the Name. */
  readonly subject: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKeyInfo: Uint8Array;
  /** DER of each Extension. */
  readonly extensions: readonly Uint8Array[];
}

const VERSION_3 = constructed(0, unsignedInteger(Uint8Array.of(2)));
const SERIAL_OCTETS = 16;

/** The DER of a version 3 certificate (RFC 5280 §4.1) with a serial number of 128 random bits. */
export function signCertificate(fields: CertificateFields, signer: Signer): Buffer {
  const toBeSigned = sequence(
    VERSION_3,
    unsignedInteger(randomBytes(SERIAL_OCTETS)),
    signer.algorithm,
    fields.issuer,
    sequence(time(fields.notBefore), time(fields.notAfter)),
    fields.subject,
    fields.publicKeyInfo,
    extensionsField(fields.extensions),
  );
  return sequence(toBeSigned, signer.algorithm, bitString(signer.sign(toBeSigned)));
}

/** One PEM block, lines of 64 characters, newline at the end (RFC 7468 §5). */
export function certificatePem(der: Uint8Array): string {
  const lines = Buffer.from(der.buffer, der.byteOffset, der.length)
    .toString('base64')
    .match(/.{1,64}/g);
  return `-----BEGIN CERTIFICATE-----\n${(lines ?? []).join('\n')}\n-----END CERTIFICATE-----\n`;
}
