import { X509Certificate, type KeyObject } from 'node:crypto';

import { DAY, SECOND } from '../../platform/clock.ts';
import { certificatePem, signCertificate } from '../../x509/certificate.ts';
import { CA_OF_LEAVES, keyUsage, subjectKeyIdentifier } from '../../x509/extensions.ts';
import { keyIdentifier, newKeyPair, signerFor } from '../../x509/key.ts';
import { nameConstraints, readNameConstraints, type NameConstraints } from '../../x509/name-constraints.ts';
import { distinguishedName } from '../../x509/name.ts';

/** How long a root lives, ms: ten years. */
const ROOT_LIFETIME = 3652 * DAY;

/** How long a successor is shown in ca.pem before it signs, ms, where an older root can still sign. */
export const ANNOUNCEMENT = 30 * DAY;

/**
 * How far a root's start lies back. A machine whose hardware clock runs in local time makes its first root up to
 * 14 hours in the future; a day lets that root sign when the clock is set. The ledger tolerates a day as well.
 */
const CLOCK_ALLOWANCE = DAY;

/** A root of the built-in CA, without its key. Times in ms since the epoch. */
export interface Root {
  /** Counts up from 1 within one authority; `root-000001.pem` is 1. */
  readonly number: number;
  readonly certificate: X509Certificate;
  /** SHA-256 over its DER, as node:crypto writes it. */
  readonly fingerprint256: string;
  /** One PEM block. */
  readonly pem: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** When it was made. */
  readonly announcedAt: number;
  /** From then on it signs even where an older root still could. */
  readonly signsFrom: number;
  readonly constraints: NameConstraints;
  /** False when its key is lost: it stays to be trusted for the leaves that it has signed. */
  readonly hasKey: boolean;
}

/** Makes a root for the given names. The key is P-256: every client reads it, and signing takes 0.02 ms. */
export async function newRoot(number: number, constraints: NameConstraints, now: number): Promise<{ root: Root; key: KeyObject }> {
  const { privateKey, publicKeyInfo } = await newKeyPair('ecdsa-p256');
  const identifier = keyIdentifier(publicKeyInfo);
  const name = distinguishedName({
    organizationName: 'PodServe',
    // Names of roots differ between installations too: NSS and OpenSSL look issuers up by name first.
    commonName: `PodServe local CA ${number} ${identifier.toString('hex', 0, 4)}`,
  });
  const start = Math.floor(now / SECOND) * SECOND;
  const der = signCertificate(
    {
      issuer: name,
      subject: name,
      notBefore: start - CLOCK_ALLOWANCE,
      notAfter: start + ROOT_LIFETIME - SECOND,
      publicKeyInfo,
      extensions: [CA_OF_LEAVES, keyUsage('keyCertSign', 'cRLSign'), subjectKeyIdentifier(identifier), nameConstraints(constraints)],
    },
    signerFor(privateKey),
  );
  return { root: rootOf(number, new X509Certificate(der), constraints, true), key: privateKey };
}

/**
 * Reads a root back from its certificate.
 * @returns why it is not one of ours, where it is not
 */
export function readRoot(number: number, certificate: X509Certificate, hasKey: boolean): Root | string {
  if (!certificate.ca) return 'the certificate in it is not a CA';
  if (certificate.subject !== certificate.issuer || !certificate.verify(certificate.publicKey))
    return 'the certificate in it is not a root';
  const constraints = readNameConstraints(certificate.raw);
  if (constraints === undefined) return 'the certificate in it has no name constraints';
  return rootOf(number, certificate, constraints, hasKey);
}

function rootOf(number: number, certificate: X509Certificate, constraints: NameConstraints, hasKey: boolean): Root {
  const notBefore = certificate.validFromDate.getTime();
  const announcedAt = notBefore + CLOCK_ALLOWANCE;
  return {
    number,
    certificate,
    fingerprint256: certificate.fingerprint256,
    pem: certificatePem(certificate.raw),
    notBefore,
    notAfter: certificate.validToDate.getTime(),
    announcedAt,
    signsFrom: announcedAt + ANNOUNCEMENT,
    constraints,
    hasKey,
  };
}
