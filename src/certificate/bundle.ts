import { X509Certificate, createHash, createPrivateKey, type KeyObject } from 'node:crypto';

import { PodserveError, messageOf } from '../platform/errors.ts';
import { covers, displayIdentifier, parseIdentifier, type Identifier } from './identifier.ts';
import type { KeyType } from './spec.ts';

/** Key, leaf and chain in memory. Made by `parseBundle`, so they are known to belong together. */
export interface Bundle {
  readonly key: KeyObject;
  /** PKCS #8, one PEM block, newline at the end. Secret. */
  readonly privateKeyPem: string;
  readonly leaf: X509Certificate;
  /** One PEM block, newline at the end. */
  readonly leafPem: string;
  /** Intermediates, leaf's issuer first, without the root; may be empty. */
  readonly chain: readonly X509Certificate[];
  /** The same as PEM blocks, possibly empty. */
  readonly chainPem: string;
}

const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;
const KEY_BLOCK = /-----BEGIN (?:EC |RSA |ENCRYPTED )?PRIVATE KEY-----[\s\S]+?-----END (?:EC |RSA |ENCRYPTED )?PRIVATE KEY-----/g;

/**
 * Reads a bundle from PEM text and proves that it belongs together: one key, the leaf first and
 * carrying that key, each further certificate signing the one before it. Dates and names are not judged here.
 * @param certificatesPem leaf first, then the chain
 * @throws PodserveError BUNDLE_INVALID, without key material in it
 */
export function parseBundle(privateKeyPem: string, certificatesPem: string): Bundle {
  const key = parseKey(privateKeyPem);
  const [leaf, ...rest] = parseCertificates(certificatesPem);
  if (leaf === undefined) throw invalid('there is no certificate in it');
  if (!leaf.checkPrivateKey(key)) throw invalid('the private key does not belong to the certificate');
  const chain = rest.filter((certificate) => !isSelfIssued(certificate));
  checkOrder([leaf, ...chain]);
  return {
    key,
    privateKeyPem: key.export({ type: 'pkcs8', format: 'pem' }),
    leaf,
    leafPem: pemOf(leaf),
    chain,
    chainPem: chain.map(pemOf).join(''),
  };
}

/** Leaf and chain, as servers want it. */
export function fullchainPem(bundle: Bundle): string {
  return bundle.leafPem + bundle.chainPem;
}

/** Key, then leaf and chain: the one file that is read in one go. Secret. */
export function combinedPem(bundle: Bundle): string {
  return bundle.privateKeyPem + fullchainPem(bundle);
}

/** The identifiers of the SAN; never of the CN (RFC 9525 §2). Other SAN kinds are left out. */
export function identifiersOf(leaf: X509Certificate): Identifier[] {
  const identifiers: Identifier[] = [];
  for (const entry of (leaf.subjectAltName ?? '').split(', ')) {
    const value = /^(?:DNS|IP Address):(.+)$/.exec(entry)?.[1];
    if (value === undefined) continue;
    try {
      identifiers.push(parseIdentifier(value.startsWith('"') ? (JSON.parse(value) as string) : value));
    } catch {
      // A foreign certificate may hold names that we would never ask for: they cover nothing of ours.
    }
  }
  return identifiers;
}

/** The wanted identifiers that the leaf does not speak for, as people write them. */
export function uncovered(leaf: X509Certificate, wanted: readonly Identifier[]): string[] {
  const have = identifiersOf(leaf);
  return wanted.filter((identifier) => !covers(have, identifier)).map(displayIdentifier);
}

/** The key type as configuration names it, or `other` for a key that we would not make. */
export function keyTypeOf(key: KeyObject): KeyType | 'other' {
  const detail = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === 'ec') {
    if (detail?.namedCurve === 'prime256v1') return 'ecdsa-p256';
    if (detail?.namedCurve === 'secp384r1') return 'ecdsa-p384';
  }
  if (key.asymmetricKeyType === 'rsa') {
    if (detail?.modulusLength === 2048) return 'rsa-2048';
    if (detail?.modulusLength === 3072) return 'rsa-3072';
    if (detail?.modulusLength === 4096) return 'rsa-4096';
  }
  return 'other';
}

/** SHA-256 over the DER of the certificate, lower-case hex: what a probe compares. */
export function leafSha256(leaf: X509Certificate): string {
  return createHash('sha256').update(leaf.raw).digest('hex');
}

/** SHA-256 over the DER of the SubjectPublicKeyInfo, lower-case hex. */
export function spkiSha256(leaf: X509Certificate): string {
  return createHash('sha256')
    .update(leaf.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** PEM blocks to certificates, in order. @throws PodserveError BUNDLE_INVALID */
export function parseCertificates(pem: string): X509Certificate[] {
  const begins = pem.split('-----BEGIN CERTIFICATE-----').length - 1;
  const blocks = pem.match(CERTIFICATE_BLOCK) ?? [];
  if (blocks.length !== begins) throw invalid('a certificate in it is cut off or garbled');
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw invalid(`a certificate in it cannot be read (${messageOf(cause)})`, cause);
    }
  });
}

/** One PEM block with a newline at its end. */
export function pemOf(certificate: X509Certificate): string {
  const pem = certificate.toString();
  return pem.endsWith('\n') ? pem : `${pem}\n`;
}

function parseKey(pem: string): KeyObject {
  const blocks = pem.match(KEY_BLOCK) ?? [];
  if (blocks.length === 0) throw invalid('there is no complete private key in it');
  if (blocks.length > 1) throw invalid('there is more than one private key in it');
  try {
    return createPrivateKey(blocks[0] ?? '');
  } catch {
    // OpenSSL's message is dropped on purpose: nothing derived from a key goes into an error.
    throw invalid('the private key cannot be read (garbled, or encrypted)');
  }
}

function checkOrder(certificates: readonly X509Certificate[]): void {
  for (const [index, certificate] of certificates.entries()) {
    const issuer = certificates[index + 1];
    if (issuer === undefined) return;
    if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
      throw invalid(`certificate ${index + 2} in it did not sign certificate ${index + 1}`);
    }
  }
}

function isSelfIssued(certificate: X509Certificate): boolean {
  return certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey);
}

function invalid(why: string, cause?: unknown): PodserveError {
  return new PodserveError('BUNDLE_INVALID', 'the certificate cannot be used', { why, cause });
}
