import { createHmac, sign, type KeyObject } from 'node:crypto';

import { algorithmOf, publicJwk, type Algorithm } from './jwk.ts';

/** A key made ready to sign many requests: what has to be computed once is. */
export interface Signer {
  readonly algorithm: Algorithm;
  /** As `publicJwk` gives it. */
  readonly jwk: string;
  /** The JWS signature (RFC 7515 §5.1), base64url. */
  sign(input: string): string | Promise<string>;
}

const DIGEST: Readonly<Record<Algorithm, string>> = { ES256: 'sha256', ES384: 'sha384', RS256: 'sha256' };

/** @param key private. @throws TypeError for a key that cannot sign ACME requests */
export function signerOf(key: KeyObject): Signer {
  if (key.type !== 'private') throw new TypeError('a private key is needed to sign ACME requests');
  const algorithm = algorithmOf(key);
  const digest = DIGEST[algorithm];
  // ECDSA takes some 50 µs, less than the way to a thread and back; RSA takes milliseconds that others may need.
  const now = (input: string): string => sign(digest, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  return { algorithm, jwk: publicJwk(key), sign: algorithm === 'RS256' ? (input) => signAside(digest, input, key) : now };
}

function signAside(digest: string, input: string, key: KeyObject): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  sign(digest, Buffer.from(input), key, (error, signature) => (error === null ? resolve(signature.toString('base64url')) : reject(error)));
  return promise;
}

/** Whom the protected header names: an account's URL, or the key itself where there is no account (RFC 8555 §6.2). */
export type Named = { readonly kid: string } | 'jwk';

/**
 * Flattened JSON (RFC 7515 §7.2.2) as RFC 8555 §6.2 wants it.
 * @param payload JSON, or `''` for a POST-as-GET (RFC 8555 §6.3)
 * @param nonce undefined in the inner JWS of a key change (RFC 8555 §7.3.5)
 */
export async function signedJws(signer: Signer, named: Named, url: string, nonce: string | undefined, payload: string): Promise<string> {
  const who = named === 'jwk' ? `"jwk":${signer.jwk}` : `"kid":${JSON.stringify(named.kid)}`;
  const fresh = nonce === undefined ? '' : `"nonce":${JSON.stringify(nonce)},`;
  const header = encoded(`{"alg":"${signer.algorithm}",${who},${fresh}"url":${JSON.stringify(url)}}`);
  const body = encoded(payload);
  return flattened(header, body, await signer.sign(`${header}.${body}`));
}

/**
 * The JWS that binds a new account to one that the CA knows otherwise, HS256 (RFC 8555 §7.3.4).
 * @param url of newAccount
 */
export function externalAccountBinding(
  external: { readonly kid: string; readonly hmacKey: Uint8Array },
  url: string,
  signer: Signer,
): string {
  const header = encoded(JSON.stringify({ alg: 'HS256', kid: external.kid, url }));
  const body = encoded(signer.jwk);
  return flattened(header, body, createHmac('sha256', external.hmacKey).update(`${header}.${body}`).digest('base64url'));
}

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url');
}

function flattened(header: string, payload: string, signature: string): string {
  return `{"protected":"${header}","payload":"${payload}","signature":"${signature}"}`;
}
