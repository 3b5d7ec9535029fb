import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { parseIdentifiers } from '../../../src/certificate/identifier.ts';
import { KEY_TYPES } from '../../../src/certificate/spec.ts';
import { newKeyPair } from '../../../src/x509/key.ts';
import { certificateRequest } from '../../../src/x509/request.ts';
import { run } from '../../support/command.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const NAMES = ['a.example', '*.a.example', 'bücher.example', '192.0.2.1', '2001:db8::1'];

for (const keyType of KEY_TYPES) {
  test(`OpenSSL and GnuTLS read a request with a key of type ${keyType} and find its signature good`, async (t) => {
    const { privateKey } = await newKeyPair(keyType);
    const file = join(scratchDirectory(t), 'request.der');
    writeFileSync(file, certificateRequest(parseIdentifiers(NAMES), privateKey));

    const openssl = await run('openssl', ['req', '-inform', 'DER', '-in', file, '-noout', '-verify', '-text']);
    assert.equal(openssl.code, 0, openssl.stderr);
    assert.match(openssl.stderr + openssl.stdout, /verify OK/);
    assert.match(openssl.stdout, /Subject: *\n/);
    assert.match(
      openssl.stdout,
      /DNS:a\.example, DNS:\*\.a\.example, DNS:xn--bcher-kva\.example, IP Address:192\.0\.2\.1, IP Address:2001:DB8:0:0:0:0:0:1/,
    );

    const gnutls = await run('certtool', ['--crq-info', '--inder', '--infile', file]);
    assert.equal(gnutls.code, 0, gnutls.stderr);
    assert.match(gnutls.stdout, /Self signature: verified/);
    assert.match(gnutls.stdout, /DNSname: \*\.a\.example/);
    assert.match(gnutls.stdout, /IPAddress: 192\.0\.2\.1/);
  });
}

test('no name is made a common name, however many there are', async (t) => {
  const { privateKey } = await newKeyPair('ecdsa-p256');
  const names = Array.from({ length: 100 }, (_, index) => `host-${index}.example.org`);
  const file = join(scratchDirectory(t), 'request.der');
  writeFileSync(file, certificateRequest(parseIdentifiers(names), privateKey));
  const { stdout } = await run('openssl', ['req', '-inform', 'DER', '-in', file, '-noout', '-text']);
  assert.doesNotMatch(stdout, /CN ?=/);
  for (const name of names) assert.ok(stdout.includes(`DNS:${name}`), name);
});
