import { X509Certificate } from 'node:crypto';

import type { Bundle } from '../certificate/bundle.ts';
import type { Identifier } from '../certificate/identifier.ts';
import { DAY, HOUR, SECOND } from '../platform/clock.ts';
import { certificatePem, signCertificate } from '../x509/certificate.ts';
import {
  END_ENTITY,
  SERVER_AUTH_ONLY,
  authorityKeyIdentifier,
  keyUsage,
  subjectAlternativeName,
  subjectKeyIdentifier,
} from '../x509/extensions.ts';
import { keyIdentifier, signerFor, type KeyPair, type Signer } from '../x509/key.ts';
import { LONGEST_COMMON_NAME, distinguishedName } from '../x509/name.ts';

/** The longest that any certificate of ours is valid, ms, first and last second included. */
export const LONGEST_LEAF_LIFETIME = 397 * DAY;

/** How far the start lies back, so that clients whose clock is a little behind accept it at once. */
const CLOCK_ALLOWANCE = HOUR;

const NO_NAME = distinguishedName({});
const EC_USAGE = keyUsage('digitalSignature');
const RSA_USAGE = keyUsage('digitalSignature', 'keyEncipherment');

/** Who signs. */
export interface Authority {
  /** DER of the Name. */
  readonly name: Uint8Array;
  readonly keyIdentifier: Uint8Array;
  readonly signer: Signer;
}

/** First and last second, ms since the epoch. */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * A leaf can be used for `lifetime` from `now` on. It starts earlier by the clock allowance (an hour, less for
 * lives below a day) and is cut where it would exceed 397 days or leave the validity of its authority.
 */
export function leafValidity(now: number, lifetime: number, authority?: Validity): Validity {
  const allowance = Math.min(CLOCK_ALLOWANCE, lifetime / 24);
  const notBefore = Math.max(wholeSeconds(now - allowance), authority?.notBefore ?? -Infinity);
  const end = Math.min(now + lifetime, notBefore + LONGEST_LEAF_LIFETIME);
  return { notBefore, notAfter: Math.min(wholeSeconds(end) - SECOND, authority?.notAfter ?? Infinity) };
}

/**
 * A leaf signed by a CA. It has no subject but a critical SAN: under name constraints OpenSSL and GnuTLS take a
 * common name for a DNS name, and refuse one that is an address.
 */
export function signLeaf(identifiers: readonly Identifier[], keys: KeyPair, validity: Validity, authority: Authority): Bundle {
  const own = keyIdentifier(keys.publicKeyInfo);
  const der = signCertificate(
    {
      issuer: authority.name,
      subject: NO_NAME,
      ...validity,
      publicKeyInfo: keys.publicKeyInfo,
      extensions: [...leafExtensions(keys, own, authority.keyIdentifier), subjectAlternativeName(identifiers, true)],
    },
    authority.signer,
  );
  return bundleOf(keys, der);
}

/** A leaf that its own key signs, CA:FALSE. It has a subject, because an issuer must have a name (RFC 5280 §4.1.2.4). */
export function selfSignLeaf(identifiers: readonly Identifier[], keys: KeyPair, validity: Validity): Bundle {
  const own = keyIdentifier(keys.publicKeyInfo);
  const short = identifiers.find(({ value }) => value.length <= LONGEST_COMMON_NAME);
  const name = distinguishedName(short === undefined ? { organizationName: 'PodServe self-signed' } : { commonName: short.value });
  const der = signCertificate(
    {
      issuer: name,
      subject: name,
      ...validity,
      publicKeyInfo: keys.publicKeyInfo,
      extensions: [...leafExtensions(keys, own, own), subjectAlternativeName(identifiers, false)],
    },
    signerFor(keys.privateKey),
  );
  return bundleOf(keys, der);
}

function leafExtensions(keys: KeyPair, own: Uint8Array, authority: Uint8Array): Uint8Array[] {
  const usage = keys.privateKey.asymmetricKeyType === 'rsa' ? RSA_USAGE : EC_USAGE;
  return [usage, SERVER_AUTH_ONLY, END_ENTITY, subjectKeyIdentifier(own), authorityKeyIdentifier(authority)];
}

function bundleOf(keys: KeyPair, der: Buffer): Bundle {
  return {
    key: keys.privateKey,
    privateKeyPem: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    leaf: new X509Certificate(der),
    leafPem: certificatePem(der),
    chain: [],
    chainPem: '',
  };
}

function wholeSeconds(milliseconds: number): number {
  return Math.floor(milliseconds / SECOND) * SECOND;
}
