import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';

import { parseCertificates, pemOf } from '../../../src/certificate/bundle.ts';
import { KEY_TYPES } from '../../../src/certificate/spec.ts';
import { SECOND } from '../../../src/platform/clock.ts';
import { subjectKeyIdentifierOf, subjectName } from '../../../src/x509/certificate-reader.ts';
import { certificatePem, signCertificate } from '../../../src/x509/certificate.ts';
import { END_ENTITY, keyUsage, subjectAlternativeName, subjectKeyIdentifier } from '../../../src/x509/extensions.ts';
import { keyIdentifier, newKeyPair, signerFor, type KeyPair } from '../../../src/x509/key.ts';
import { nameConstraints, network, readNameConstraints } from '../../../src/x509/name-constraints.ts';
import { distinguishedName } from '../../../src/x509/name.ts';

const NOW = Date.parse('2026-11-23T05:04:37Z');
const name = distinguishedName({ organizationName: 'PodServe', commonName: 'Prüfstand' });

function certify(keys: KeyPair, extensions: readonly Uint8Array[] = [END_ENTITY]): Buffer {
  const { privateKey, publicKeyInfo } = keys;
  const fields = { issuer: name, subject: name, notBefore: NOW, notAfter: NOW + 60 * SECOND, publicKeyInfo, extensions };
  return signCertificate(fields, signerFor(privateKey));
}

describe('a certificate says what it was given', () => {
  for (const type of KEY_TYPES.filter((one) => one !== 'rsa-4096')) {
    test(`signed with ${type}`, async () => {
      const keys = await newKeyPair(type);
      const certificate = new X509Certificate(certify(keys));
      assert.ok(certificate.verify(certificate.publicKey));
      assert.ok(certificate.checkPrivateKey(keys.privateKey));
      assert.equal(certificate.subject, 'O=PodServe\nCN=Prüfstand');
      assert.equal(certificate.validFromDate.getTime(), NOW);
      assert.equal(certificate.validToDate.getTime(), NOW + 60 * SECOND);
    });
  }

  test('names of every kind in the SAN', async () => {
    const san = subjectAlternativeName(
      [
        { type: 'dns', value: '*.example.org' },
        { type: 'dns', value: 'xn--bcher-kva.example' },
        { type: 'ip', value: '192.0.2.7' },
        { type: 'ip', value: '2001:db8::1' },
      ],
      false,
    );
    const certificate = new X509Certificate(certify(await newKeyPair('ecdsa-p256'), [san]));
    assert.equal(
      certificate.subjectAltName,
      'DNS:*.example.org, DNS:xn--bcher-kva.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:1',
    );
  });

  test('the PEM text is the one that everybody writes', async () => {
    const der = certify(await newKeyPair('ecdsa-p256'));
    assert.equal(certificatePem(der), pemOf(new X509Certificate(der)));
    assert.equal(parseCertificates(certificatePem(der)).length, 1);
  });
});

test('serial numbers are positive, differ, and use all of 128 bits', async () => {
  const keys = await newKeyPair('ecdsa-p256');
  const serials = Array.from({ length: 200 }, () => BigInt(`0x${new X509Certificate(certify(keys)).serialNumber}`));
  assert.equal(new Set(serials).size, 200);
  assert.ok(serials.every((serial) => serial > 0n && serial < 1n << 128n));
  const topBits = serials.filter((serial) => serial >> 127n === 1n).length;
  assert.ok(topBits > 50 && topBits < 150, `${topBits} of 200 have the top bit set`);
});

test('subject and key identifier are read back from a certificate', async () => {
  const keys = await newKeyPair('rsa-2048');
  const identifier = keyIdentifier(keys.publicKeyInfo);
  const der = certify(keys, [keyUsage('digitalSignature'), subjectKeyIdentifier(identifier)]);
  assert.equal(identifier.length, 20);
  assert.deepEqual(Buffer.from(subjectKeyIdentifierOf(der) ?? []), identifier);
  assert.deepEqual(Buffer.from(subjectName(der) ?? []), name);
  assert.equal(subjectKeyIdentifierOf(certify(keys)), undefined);
});

test('name constraints are read back as they were written', async () => {
  const constraints = {
    domains: new Set(['example.org', 'localhost']),
    networks: ['10.0.0.0/8', '172.16.0.0/12', '203.0.113.9', 'fe80::/10', '2001:db8::1', '0.0.0.0/0'].map(network),
  };
  const keys = await newKeyPair('ecdsa-p256');
  const read = readNameConstraints(certify(keys, [nameConstraints(constraints)]));
  assert.deepEqual(read?.domains, constraints.domains);
  assert.deepEqual(
    read?.networks.map(({ octets, bits }) => [Buffer.from(octets).toString('hex'), bits]),
    [
      ['0a000000', 8],
      ['ac100000', 12],
      ['cb007109', 32],
      [`fe80${'0'.repeat(28)}`, 10],
      ['20010db8000000000000000000000001', 128],
      ['00000000', 0],
    ],
  );
  assert.equal(readNameConstraints(certify(keys)), undefined);
});
