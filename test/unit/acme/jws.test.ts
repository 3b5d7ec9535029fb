import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, verify, type KeyObject } from 'node:crypto';
import test from 'node:test';

import { algorithmOf, jwkThumbprint, keyAuthorization, publicJwk } from '../../../src/acme/jwk.ts';
import { externalAccountBinding, signedJws, signerOf } from '../../../src/acme/jws.ts';
import { ecKey } from '../../support/acme-ordering.ts';

const TARGET = 'https://acme.lab.test/new-order';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

/** RFC 7638 §3.1 */
const RFC_7638 = {
  kty: 'RSA',
  n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
  e: 'AQAB',
  alg: 'RS256',
  kid: '2011-04-29',
};
/** RFC 9449 §6.1 */
const RFC_9449 = {
  kty: 'EC',
  x: 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs',
  y: '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA',
  crv: 'P-256',
};

interface Jws {
  readonly protected: string;
  readonly payload: string;
  readonly signature: string;
}

function decoded(text: string): unknown {
  return JSON.parse(Buffer.from(text, 'base64url').toString());
}

function holds(jws: Jws, key: KeyObject, digest: string): boolean {
  const input = Buffer.from(`${jws.protected}.${jws.payload}`);
  return verify(digest, input, { key: createPublicKey(key), dsaEncoding: 'ieee-p1363' }, Buffer.from(jws.signature, 'base64url'));
}

test('thumbprints are those of the examples in RFC 7638 (RSA) and RFC 9449 (EC)', () => {
  assert.equal(jwkThumbprint(createPublicKey({ key: RFC_7638, format: 'jwk' })), 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
  assert.equal(jwkThumbprint(createPublicKey({ key: RFC_9449, format: 'jwk' })), '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I');
});

test('a key authorization is the token, a dot, and the thumbprint of the public part', () => {
  const key = ecKey();
  assert.equal(
    keyAuthorization('LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0', key),
    `LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0.${jwkThumbprint(createPublicKey(key))}`,
  );
});

test('a JWK never holds a private part', () => {
  for (const key of [ecKey(), ecKey('P-384'), rsa]) {
    const jwk = JSON.parse(publicJwk(key)) as Record<string, string>;
    assert.deepEqual(Object.keys(jwk), jwk['kty'] === 'RSA' ? ['e', 'kty', 'n'] : ['crv', 'kty', 'x', 'y']);
  }
});

test('each kind of key signs with its algorithm, so that the signature holds', async () => {
  const kinds = [
    { key: ecKey(), algorithm: 'ES256', digest: 'sha256', octets: 64 },
    { key: ecKey('P-384'), algorithm: 'ES384', digest: 'sha384', octets: 96 },
    { key: rsa, algorithm: 'RS256', digest: 'sha256', octets: 256 },
  ];
  for (const { key, algorithm, digest, octets } of kinds) {
    const kid = 'https://acme.lab.test/account/1';
    const jws = JSON.parse(await signedJws(signerOf(key), { kid }, TARGET, 'n0nce', '{"a":"ä"}')) as Jws;
    assert.deepEqual(Object.keys(jws), ['protected', 'payload', 'signature']);
    assert.deepEqual(decoded(jws.protected), { alg: algorithm, kid, nonce: 'n0nce', url: TARGET });
    assert.deepEqual(decoded(jws.payload), { a: 'ä' });
    assert.equal(Buffer.from(jws.signature, 'base64url').length, octets);
    assert.ok(holds(jws, key, digest), algorithm);
    assert.ok(!holds({ ...jws, payload: '' }, key, digest));
  }
});

test('a key without account shows itself; a POST-as-GET has an empty payload; an inner JWS has no nonce', async () => {
  const key = ecKey();
  const jws = JSON.parse(await signedJws(signerOf(key), 'jwk', TARGET, undefined, '')) as Jws;
  assert.deepEqual(decoded(jws.protected), { alg: 'ES256', jwk: JSON.parse(publicJwk(key)), url: TARGET });
  assert.equal(jws.payload, '');
});

test('an external account is bound with its own key over the JWK of the account', () => {
  const key = ecKey();
  const hmacKey = Buffer.from('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ', 'base64url');
  const jws = JSON.parse(externalAccountBinding({ kid: 'kid "1"', hmacKey }, TARGET, signerOf(key))) as Jws;
  assert.deepEqual(decoded(jws.protected), { alg: 'HS256', kid: 'kid "1"', url: TARGET });
  assert.deepEqual(decoded(jws.payload), JSON.parse(publicJwk(key)));
  assert.equal(jws.signature, createHmac('sha256', hmacKey).update(`${jws.protected}.${jws.payload}`).digest('base64url'));
});

test('a key that no server takes is refused, and so is a public one', () => {
  assert.throws(() => algorithmOf(ecKey('P-521')), /of type ec secp521r1 cannot sign/);
  assert.throws(() => algorithmOf(generateKeyPairSync('ed25519').privateKey), /of type ed25519 cannot sign/);
  assert.throws(() => signerOf(createPublicKey(ecKey())), /private key is needed/);
});
