import { createHash, generateKeyPair, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

import type { KeyType } from '../certificate/spec.ts';
import { inside } from './der-reader.ts';
import { NULL, objectIdentifier, sequence } from './der.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKeyInfo: Buffer;
}

/**
 * A new key. EC keys are made at once (0.02 ms, less than a trip to the thread pool);
 * RSA keys take 30 ms to seconds and are made off the main thread.
 */
export async function newKeyPair(type: KeyType): Promise<KeyPair> {
  const { privateKey, publicKey } = await generate(type);
  return { privateKey, publicKeyInfo: publicKey.export({ type: 'spki', format: 'der' }) };
}

/** 160 bits of the public key's SHA-256 (RFC 7093 §2, method 1). */
export function keyIdentifier(publicKeyInfo: Uint8Array): Buffer {
  const bits = inside(publicKeyInfo)[1]?.contents.subarray(1) ?? publicKeyInfo;
  return createHash('sha256').update(bits).digest().subarray(0, 20);
}

/** How a private key signs certificates. */
export interface Signer {
  /** DER of the AlgorithmIdentifier. */
  readonly algorithm: Buffer;
  sign(data: Uint8Array): Buffer;
}

const ECDSA_WITH_SHA256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
const ECDSA_WITH_SHA384 = sequence(objectIdentifier('1.2.840.10045.4.3.3'));
const SHA256_WITH_RSA = sequence(objectIdentifier('1.2.840.113549.1.1.11'), NULL);

/** ECDSA with the hash of the curve's size (RFC 5758 §3.2); RSA PKCS #1 v1.5 with SHA-256 (RFC 4055 §5), which everything reads. */
export function signerFor(key: KeyObject): Signer {
  if (key.asymmetricKeyType === 'rsa') return { algorithm: SHA256_WITH_RSA, sign: (data) => sign('sha256', data, key) };
  const large = key.asymmetricKeyDetails?.namedCurve === 'secp384r1';
  const digest = large ? 'sha384' : 'sha256';
  return {
    algorithm: large ? ECDSA_WITH_SHA384 : ECDSA_WITH_SHA256,
    sign: (data) => sign(digest, data, { key, dsaEncoding: 'der' }),
  };
}

const CURVES = { 'ecdsa-p256': 'P-256', 'ecdsa-p384': 'P-384' } as const;
const MODULUS_LENGTHS = { 'rsa-2048': 2048, 'rsa-3072': 3072, 'rsa-4096': 4096 } as const;

async function generate(type: KeyType): Promise<{ privateKey: KeyObject; publicKey: KeyObject }> {
  if (type === 'ecdsa-p256' || type === 'ecdsa-p384') return generateKeyPairSync('ec', { namedCurve: CURVES[type] });
  return promisify(generateKeyPair)('rsa', { modulusLength: MODULUS_LENGTHS[type] });
}
