import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import type { Bundle } from '../../src/certificate/bundle.ts';
import { parseIdentifiers } from '../../src/certificate/identifier.ts';
import { KEY_TYPES, type CertificateSpec, type KeyType } from '../../src/certificate/spec.ts';
import type { Issuer } from '../../src/issuers/issuer.ts';
import { leafValidity, signLeaf, type Authority } from '../../src/issuers/leaf.ts';
import { openLocalCa, type LocalCa } from '../../src/issuers/local-ca/local-ca.ts';
import { readRootFiles } from '../../src/issuers/local-ca/root-files.ts';
import { selfSigned } from '../../src/issuers/self-signed.ts';
import { DAY } from '../../src/platform/clock.ts';
import { certificatePem, signCertificate } from '../../src/x509/certificate.ts';
import { objectIdentifier, primitive, sequence } from '../../src/x509/der.ts';
import { CA_OF_LEAVES, END_ENTITY, SERVER_AUTH_ONLY, authorityKeyIdentifier, extension, keyUsage } from '../../src/x509/extensions.ts';
import { keyIdentifier, newKeyPair, signerFor } from '../../src/x509/key.ts';
import { distinguishedName } from '../../src/x509/name.ts';
import { serveTls, startChromium, type Browser } from '../support/chromium.ts';
import { gnutls, nss, nssDatabase, opensslStrict, pemFile, zlint } from '../support/judges.ts';
import { scratchDirectory } from '../support/scratch.ts';

const NOW = Date.now();
const LONG_NAME = `${'a'.repeat(60)}.lab.example.org`;

/** Every kind of name that can be configured. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  dns: ['lab.example.org', 'www.lab.example.org', 'localhost'],
  wildcard: ['*.lab.example.org'],
  ip: ['203.0.113.7', '2001:db8::7', '127.0.0.1', '10.1.2.3', 'fd00::1'],
  idn: ['bücher.example', '*.bücher.example'],
  long: [LONG_NAME],
};
const CONFIGURED = Object.values(KINDS).flat();

/** What only concerns public CAs; docs/decisions/0002-certificates-we-sign.md says why of each. */
const PUBLIC_CA_LINTS = readFileSync(new URL('../../docs/decisions/0002-certificates-we-sign.md', import.meta.url), 'utf8')
  .matchAll(/^\| `([ew]_\w+)` \|/gm)
  .map((row) => row[1] ?? '')
  .toArray();

const cleanups: (() => unknown)[] = [];
const whole = { after: (work: () => unknown) => void cleanups.unshift(work) };
after(async () => {
  for (const work of cleanups) await work();
});

let directory: string;
let ca: LocalCa;
let rootFile: string;
let stolen: Authority;
let nssWithRoot: string;
const issued = new Map<string, Bundle>();
const home = (name: string): string => join(directory, name);

before(async () => {
  directory = scratchDirectory(whole);
  ca = openLocalCa({ directory: join(directory, 'authority', 'local-ca'), permit: parseIdentifiers(CONFIGURED) });
  const { pem } = await ca.prepare(NOW, parseIdentifiers(CONFIGURED));
  rootFile = pemFile(directory, 'root', pem);
  const authority = readRootFiles(join(directory, 'authority', 'local-ca')).stored[0]?.authority;
  assert.ok(authority !== undefined);
  stolen = authority;
  nssWithRoot = await nssDatabase(home('trusting'), rootFile, 'C,,');
});

/** One certificate of each issuer for each kind of name and key, made once. */
async function certificate(issuer: Issuer, kind: string, keyType: KeyType): Promise<{ bundle: Bundle; file: string }> {
  const name = `${issuer.name}-${kind}-${keyType}`;
  const bundle = issued.get(name) ?? (await issuer.issue(spec(kind, keyType), { now: NOW }));
  issued.set(name, bundle);
  return { bundle, file: pemFile(directory, name, bundle.leafPem) };
}

function spec(kind: string, keyType: KeyType): CertificateSpec {
  const identifiers = parseIdentifiers(KINDS[kind] ?? []);
  return { name: 'default', identifiers, keyType, issuers: [], lifetime: 90 * DAY, renewBefore: 7 * DAY, consumers: [] };
}

/** What a thief of the root signs: any names of any kind. */
async function forged(name: string, ...names: readonly Uint8Array[]): Promise<string> {
  const { publicKeyInfo } = await newKeyPair('ecdsa-p256');
  const san = extension(objectIdentifier('2.5.29.17'), true, sequence(...names));
  const usage = [keyUsage('digitalSignature'), SERVER_AUTH_ONLY, END_ENTITY, authorityKeyIdentifier(stolen.keyIdentifier), san];
  const fields = { issuer: stolen.name, subject: sequence(), ...leafValidity(NOW, DAY), publicKeyInfo, extensions: usage };
  return pemFile(directory, name, certificatePem(signCertificate(fields, stolen.signer)));
}

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const PUBLIC_NAMES: Readonly<Record<string, Uint8Array>> = {
  'a name of a bank': primitive(2, text('www.bank.example')),
  'a wildcard': primitive(2, text('*.bank.example')),
  'a name above a configured one': primitive(2, text('example.org')),
  'a public IPv4 address': primitive(7, Uint8Array.of(8, 8, 8, 8)),
  'the neighbour of a configured IPv4 address': primitive(7, Uint8Array.of(203, 0, 113, 8)),
  'a public IPv6 address': primitive(7, Buffer.from('26064700000000000000000000001111', 'hex')),
};

describe('the judges that everybody uses accept what the built-in CA signs', () => {
  for (const keyType of KEY_TYPES) {
    for (const kind of Object.keys(KINDS)) {
      test(`${keyType}, ${kind}: openssl -x509_strict, certtool, NSS`, async () => {
        const { file } = await certificate(ca, kind, keyType);
        assert.equal(await opensslStrict(rootFile, file), 'ok');
        assert.equal(await gnutls(rootFile, file), 'ok');
        assert.equal(await nss(nssWithRoot, file), 'ok');
      });
    }
  }

  test('each configured name is one that OpenSSL finds in it', async () => {
    for (const [kind, names] of Object.entries(KINDS)) {
      const { file } = await certificate(ca, kind, 'ecdsa-p256');
      for (const { type, value } of parseIdentifiers(names)) {
        const asked = type === 'ip' ? ['-verify_ip', value] : ['-verify_hostname', value.replace('*', 'any')];
        assert.equal(await opensslStrict(rootFile, file, ...asked), 'ok', value);
      }
    }
  });
});

describe('a self-signed leaf', () => {
  for (const keyType of KEY_TYPES) {
    test(`${keyType}: passes openssl -x509_strict when it is trusted itself`, async () => {
      for (const kind of Object.keys(KINDS)) {
        const { file } = await certificate(selfSigned(), kind, keyType);
        assert.equal(await opensslStrict(file, file), 'ok', kind);
      }
    });
  }
});

describe('zlint finds nothing but what only concerns public CAs', () => {
  test('in the root', async () => {
    const [found = []] = await zlint([rootFile]);
    assert.deepEqual(
      found.filter((lint) => !PUBLIC_CA_LINTS.includes(lint)),
      [],
    );
  });

  for (const issuerName of ['local-ca', 'self-signed']) {
    test(`in any leaf of ${issuerName}`, async () => {
      const issuer = issuerName === 'local-ca' ? ca : selfSigned();
      const files: string[] = [];
      for (const keyType of KEY_TYPES) for (const kind of Object.keys(KINDS)) files.push((await certificate(issuer, kind, keyType)).file);
      const found = await zlint(files);
      assert.equal(found.length, files.length);
      for (const [index, lints] of found.entries()) {
        assert.deepEqual(
          lints.filter((lint) => !PUBLIC_CA_LINTS.includes(lint)),
          [],
          files[index] ?? '',
        );
      }
    });
  }

  test('and every exception in the decision page is still needed', async () => {
    const files = [rootFile];
    for (const issuer of [ca, selfSigned()])
      for (const kind of Object.keys(KINDS)) files.push((await certificate(issuer, kind, 'ecdsa-p256')).file);
    const found = new Set((await zlint(files)).flat());
    assert.ok(PUBLIC_CA_LINTS.length > 5);
    assert.deepEqual(
      PUBLIC_CA_LINTS.filter((lint) => !found.has(lint)),
      [],
    );
  });
});

describe('with a stolen root nobody can impersonate a bank', () => {
  for (const [what, name] of Object.entries(PUBLIC_NAMES)) {
    test(`${what}: refused by OpenSSL, GnuTLS and NSS for the constraints alone`, async () => {
      const file = await forged('forged', name);
      assert.match(await opensslStrict(rootFile, file), /permitted subtree violation/);
      assert.match(await gnutls(rootFile, file), /violates the signer's constraints/);
      assert.match(await nss(nssWithRoot, file), /Chain is bad!/);
    });
  }

  test('a forged certificate for a configured name passes: the refusals above are not for its form', async () => {
    const file = await forged('forged', primitive(2, text('lab.example.org')));
    assert.deepEqual([await opensslStrict(rootFile, file), await gnutls(rootFile, file), await nss(nssWithRoot, file)], ['ok', 'ok', 'ok']);
  });

  test('an e-mail address or a URI, even beside a permitted name: refused by OpenSSL, GnuTLS and NSS', async () => {
    const permitted = primitive(2, text('lab.example.org'));
    for (const name of [
      primitive(1, text('chief@bank.example')),
      primitive(1, text('chief@lab.example.org')),
      primitive(1, text('any@podserve.invalid')),
      primitive(6, text('https://www.bank.example/')),
      primitive(6, text('https://lab.example.org/')),
      primitive(6, text('https://podserve.invalid/')),
    ]) {
      const file = await forged('forged', permitted, name);
      assert.match(await opensslStrict(rootFile, file), /(permitted|excluded) subtree violation/, name.toString('latin1'));
      assert.match(await gnutls(rootFile, file), /violates the signer's constraints/, name.toString('latin1'));
      assert.match(await nss(nssWithRoot, file), /Chain is bad!/, name.toString('latin1'));
    }
  });

  test('a public name as common name alone: refused by OpenSSL and GnuTLS, which look there', async () => {
    const { publicKeyInfo } = await newKeyPair('ecdsa-p256');
    const subject = distinguishedName({ commonName: 'www.bank.example' });
    const extensions = [SERVER_AUTH_ONLY, END_ENTITY, authorityKeyIdentifier(stolen.keyIdentifier)];
    const fields = { issuer: stolen.name, subject, ...leafValidity(NOW, DAY), publicKeyInfo, extensions };
    const file = pemFile(directory, 'common-name', certificatePem(signCertificate(fields, stolen.signer)));
    assert.match(await opensslStrict(rootFile, file), /permitted subtree violation/);
    assert.match(await gnutls(rootFile, file), /violates the signer's constraints/);
  });

  test('a CA below the root is refused, so its leaves are', async () => {
    const { privateKey, publicKeyInfo } = await newKeyPair('ecdsa-p256');
    const identifier = keyIdentifier(publicKeyInfo);
    const name = distinguishedName({ commonName: 'Intermediate' });
    const extensions = [CA_OF_LEAVES, keyUsage('keyCertSign'), authorityKeyIdentifier(stolen.keyIdentifier)];
    const fields = { issuer: stolen.name, subject: name, ...leafValidity(NOW, DAY), publicKeyInfo, extensions };
    const intermediate = pemFile(directory, 'intermediate', certificatePem(signCertificate(fields, stolen.signer)));
    const by: Authority = { name, keyIdentifier: identifier, signer: signerFor(privateKey) };
    const leaf = signLeaf(parseIdentifiers(['lab.example.org']), await newKeyPair('ecdsa-p256'), leafValidity(NOW, DAY), by);
    const file = pemFile(directory, 'below', leaf.leafPem);
    assert.match(await opensslStrict(rootFile, file, '-untrusted', intermediate), /path length constraint exceeded/);
  });
});

describe('Chromium', () => {
  let browser: Browser;
  before(async () => {
    browser = await startChromium(whole, home('trusting'));
  });

  test('accepts what the built-in CA signs, by every kind of name, once the root is trusted', async (t) => {
    for (const [kind, names] of Object.entries(KINDS)) {
      const port = await serveTls(t, (await certificate(ca, kind, 'ecdsa-p256')).bundle, 'served');
      for (const { value } of parseIdentifiers(names)) {
        const host = value.includes(':') ? `[${value}]` : value.replace('*', 'any');
        assert.equal(await browser.visit(`https://${host}:${port}/`), 'served', value);
      }
    }
  });

  test('accepts every key type', async (t) => {
    for (const keyType of KEY_TYPES) {
      const port = await serveTls(t, (await certificate(ca, 'dns', keyType)).bundle, keyType);
      assert.equal(await browser.visit(`https://lab.example.org:${port}/`), keyType);
    }
  });

  test('refuses public names and addresses signed with the stolen root', async (t) => {
    for (const name of ['www.bank.example', '8.8.8.8', '203.0.113.8', '2606:4700::1111']) {
      const leaf = signLeaf(parseIdentifiers([name]), await newKeyPair('ecdsa-p256'), leafValidity(NOW, DAY), stolen);
      const port = await serveTls(t, leaf, 'forged');
      assert.equal(await browser.visit(`https://${name.includes(':') ? `[${name}]` : name}:${port}/`), 'net::ERR_CERT_INVALID', name);
    }
  });

  test('refuses all of it without the root', async (t) => {
    const stranger = await startChromium(t, home('stranger'));
    const port = await serveTls(t, (await certificate(ca, 'dns', 'ecdsa-p256')).bundle, 'served');
    assert.equal(await stranger.visit(`https://lab.example.org:${port}/`), 'net::ERR_CERT_AUTHORITY_INVALID');
  });

  test('accepts a self-signed leaf with peer trust, and no other name with it', async (t) => {
    const { bundle, file } = await certificate(selfSigned(), 'dns', 'ecdsa-p256');
    await nssDatabase(home('peer'), file, 'P,,');
    const peer = await startChromium(t, home('peer'));
    const port = await serveTls(t, bundle, 'served');
    assert.equal(await peer.visit(`https://lab.example.org:${port}/`), 'served');
    assert.equal(await peer.visit(`https://other.example.org:${port}/`), 'net::ERR_CERT_COMMON_NAME_INVALID');
  });
});
