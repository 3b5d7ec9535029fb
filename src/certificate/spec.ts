import type { Identifier } from './identifier.ts';

export const KEY_TYPES = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072', 'rsa-4096'] as const;
export type KeyType = (typeof KEY_TYPES)[number];

/** The issuers that need no configuration and no network. Any other issuer is an ACME server. */
export const LOCAL_ISSUERS = ['self-signed', 'local-ca'] as const;

/** Names of certificates, which are also directory names (DESIGN §5). */
export const CERTIFICATE_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** A configured wish: what should exist, checked and interpreted. */
export interface CertificateSpec {
  readonly name: string;
  /** In configured order, without repetitions; at least one. */
  readonly identifiers: readonly Identifier[];
  readonly keyType: KeyType;
  /** In order of preference; at least one. */
  readonly issuers: readonly string[];
  /** How long local issuers make a certificate live, ms. */
  readonly lifetime: number;
  /** How long before expiry a certificate of a local issuer is renewed, ms. */
  readonly renewBefore: number;
  /** Names of the consumers that serve it. */
  readonly consumers: readonly string[];
}

export function isLocalIssuer(issuer: string): boolean {
  return (LOCAL_ISSUERS as readonly string[]).includes(issuer);
}
