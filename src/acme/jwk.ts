import { createHash, createPublicKey, type KeyObject } from 'node:crypto';

/** Signature algorithms of account keys (RFC 7518 §3.1). */
export type Algorithm = 'ES256' | 'ES384' | 'RS256';

/**
 * The algorithm that a key signs with: ES256 for P-256, ES384 for P-384, RS256 for RSA (RFC 8555 §6.2).
 * @throws TypeError for any other key
 */
export function algorithmOf(key: KeyObject): Algorithm {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.asymmetricKeyType === 'ec' && curve === 'prime256v1') return 'ES256';
  if (key.asymmetricKeyType === 'ec' && curve === 'secp384r1') return 'ES384';
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  throw new TypeError(`a key of type ${[key.asymmetricKeyType ?? key.type, curve].filter(Boolean).join(' ')} cannot sign ACME requests`);
}

/**
 * The public part as a JSON Web Key with only the members that RFC 7638 §3.2 requires, in their lexicographic order
 * and without white space: what is hashed for the thumbprint, and as good a `jwk` as any.
 * @param key private or public; ECDSA or RSA
 */
export function publicJwk(key: KeyObject): string {
  const { kty, crv, x, y, e, n } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  return kty === 'RSA' ? JSON.stringify({ e, kty, n }) : JSON.stringify({ crv, kty, x, y });
}

/** RFC 7638 §3 with SHA-256, base64url. @param key private or public; ECDSA or RSA */
export function jwkThumbprint(key: KeyObject): string {
  return createHash('sha256').update(publicJwk(key)).digest('base64url');
}

/** What answers a challenge: token "." thumbprint of the account key (RFC 8555 §8.1). */
export function keyAuthorization(token: string, key: KeyObject): string {
  return `${token}.${jwkThumbprint(key)}`;
}
