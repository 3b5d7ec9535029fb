import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { identifiersOf, keyTypeOf, parseBundle } from '../../../src/certificate/bundle.ts';
import { parseIdentifiers } from '../../../src/certificate/identifier.ts';
import type { CertificateSpec, KeyType } from '../../../src/certificate/spec.ts';
import { leafValidity, type Validity } from '../../../src/issuers/leaf.ts';
import { selfSigned } from '../../../src/issuers/self-signed.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../../src/platform/clock.ts';

const NOW = Date.parse('2026-11-23T05:04:37.500Z');

function spec(names: readonly string[], keyType: KeyType = 'ecdsa-p256'): CertificateSpec {
  const times = { lifetime: 90 * DAY, renewBefore: 7 * DAY };
  return { name: 'default', identifiers: parseIdentifiers(names), keyType, issuers: ['self-signed'], ...times, consumers: [] };
}

function inclusive(validity: Validity): number {
  return validity.notAfter - validity.notBefore + SECOND;
}

async function subjectOf(...names: string[]): Promise<string> {
  return (await selfSigned().issue(spec(names), { now: NOW })).leaf.subject;
}

describe('how long a leaf is valid', () => {
  test('its whole lifetime from now on, and an hour before for clocks that are behind', () => {
    const { notBefore, notAfter } = leafValidity(NOW, 90 * DAY);
    assert.equal(notBefore, Date.parse('2026-11-23T04:04:37Z'));
    assert.equal(notAfter, Date.parse('2026-11-23T05:04:36Z') + 90 * DAY);
  });

  test('never longer than 397 days, first and last second included', () => {
    for (const lifetime of [397 * DAY, 397 * DAY - MINUTE, 398 * DAY, 10_000 * DAY]) {
      assert.equal(inclusive(leafValidity(NOW, lifetime)), 397 * DAY);
    }
    assert.ok(inclusive(leafValidity(NOW, 396 * DAY)) < 397 * DAY);
  });

  test('a short life is not mostly past: the allowance is a 24th of it at most', () => {
    assert.equal(inclusive(leafValidity(NOW, DAY)), DAY + HOUR);
    assert.equal(inclusive(leafValidity(NOW, 24 * MINUTE)), 25 * MINUTE);
    const second = leafValidity(NOW, SECOND);
    assert.ok(second.notBefore <= second.notAfter);
  });

  test('never outside the validity of its authority', () => {
    const authority = { notBefore: NOW - 500 - MINUTE, notAfter: NOW - 500 + DAY };
    assert.deepEqual(leafValidity(NOW, 90 * DAY, authority), authority);
  });
});

describe('a self-signed leaf', () => {
  test('belongs together, names what was asked for, and is no CA', async () => {
    const names = ['lab.example.org', '*.lab.example.org', 'bücher.example', '192.0.2.7', '2001:db8::1'];
    const bundle = await selfSigned().issue(spec(names), { now: NOW });
    const again = parseBundle(bundle.privateKeyPem, bundle.leafPem + bundle.chainPem);
    assert.equal(again.leaf.fingerprint256, bundle.leaf.fingerprint256);
    assert.deepEqual([again.privateKeyPem, again.leafPem, again.chainPem], [bundle.privateKeyPem, bundle.leafPem, bundle.chainPem]);
    assert.deepEqual(identifiersOf(bundle.leaf), parseIdentifiers(names));
    assert.equal(bundle.leaf.ca, false);
    assert.equal(bundle.leaf.subject, 'CN=lab.example.org');
    assert.ok(bundle.leaf.verify(bundle.leaf.publicKey));
  });

  test('with every key type that can be configured', async () => {
    for (const type of ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072', 'rsa-4096'] as const) {
      assert.equal(keyTypeOf((await selfSigned().issue(spec(['localhost'], type), { now: NOW })).key), type);
    }
  });

  test('has a new key each time', async () => {
    const [one, other] = [
      await selfSigned().issue(spec(['localhost']), { now: NOW }),
      await selfSigned().issue(spec(['localhost']), { now: NOW }),
    ];
    assert.ok(!one.leaf.checkPrivateKey(other.key));
  });

  test('takes a common name of 64 characters; of longer names it takes none', async () => {
    const label = 'a'.repeat(50);
    const fits = `${label}.${'b'.repeat(13)}`;
    const long = `${label}.${'b'.repeat(14)}`;
    assert.equal(await subjectOf(fits), `CN=${fits}`);
    assert.equal(await subjectOf(long), 'O=PodServe self-signed');
    assert.equal(await subjectOf(long, fits), `CN=${fits}`);
  });

  test('lives as long as the caller says, else as configured', async () => {
    const week = await selfSigned().issue(spec(['localhost']), { now: NOW, lifetime: 7 * DAY });
    assert.equal(week.leaf.validToDate.getTime(), Math.floor(NOW / SECOND) * SECOND + 7 * DAY - SECOND);
    const usual = await selfSigned().issue(spec(['localhost']), { now: NOW });
    assert.equal(usual.leaf.validToDate.getTime(), Math.floor(NOW / SECOND) * SECOND + 90 * DAY - SECOND);
  });
});
