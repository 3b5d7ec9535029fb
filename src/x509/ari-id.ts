import type { X509Certificate } from 'node:crypto';

import { authorityKeyIdentifierOf, serialNumberOf } from './certificate-reader.ts';

/**
 * The unique identifier of a certificate for renewal information (RFC 9773 §4.1): its authority's key identifier and
 * its serial number as DER has it (with a leading 00 where the top bit is set), in base64url around a dot.
 * @throws RangeError when the certificate does not say which key signed it
 */
export function ariCertificateId(leaf: X509Certificate): string {
  const authority = authorityKeyIdentifierOf(leaf.raw);
  const serial = serialNumberOf(leaf.raw);
  if (authority === undefined || serial === undefined) throw new RangeError('the certificate has no authority key identifier');
  return `${base64url(authority)}.${base64url(serial)}`;
}

function base64url(octets: Uint8Array): string {
  return Buffer.from(octets).toString('base64url');
}
