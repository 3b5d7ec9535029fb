import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { ariCertificateId } from '../../../src/x509/ari-id.ts';
import { opensslCa } from '../../support/openssl-ca.ts';
import { scratchDirectory } from '../../support/scratch.ts';

/** RFC 9773 appendix A. */
const EXAMPLE = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
`;

test('the example of RFC 9773 has the identifier that the RFC gives it, leading zero of the serial number included', () => {
  assert.equal(ariCertificateId(new X509Certificate(EXAMPLE)), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE');
});

test('identifier and serial number are those that OpenSSL shows', async (t) => {
  const ca = await opensslCa(scratchDirectory(t));
  const made = await ca.leaf('leaf', { names: ['www.lab.test'] });
  const leaf = new X509Certificate(readFileSync(made.certificateFile));
  const [, serial = ''] = ariCertificateId(leaf).split('.');
  assert.equal(Buffer.from(serial, 'base64url').toString('hex').toUpperCase(), leaf.serialNumber);
});

test('a certificate that names no authority key has none', () => {
  const other = Buffer.from(new X509Certificate(EXAMPLE).raw.toString('hex').replace('551d23', '551d7f'), 'hex');
  assert.throws(() => ariCertificateId(new X509Certificate(other)), /no authority key identifier/);
});
