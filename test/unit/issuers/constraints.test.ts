import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { parseIdentifiers } from '../../../src/certificate/identifier.ts';
import { constraintsFor, includes, permitsAll } from '../../../src/issuers/local-ca/constraints.ts';
import type { NameConstraints } from '../../../src/x509/name-constraints.ts';

function of(...names: string[]): NameConstraints {
  return constraintsFor(parseIdentifiers(names));
}

const permits = (configured: readonly string[], ...wanted: string[]): boolean =>
  permitsAll(constraintsFor(parseIdentifiers(configured)), parseIdentifiers(wanted));

describe('what a root for the configured names may sign', () => {
  test('each name, what is below it, and nothing beside or above it', () => {
    const configured = ['lab.example.org', '*.shop.example', 'bücher.example'];
    for (const name of [
      'lab.example.org',
      'a.lab.example.org',
      '*.lab.example.org',
      'shop.example',
      '*.shop.example',
      'www.bücher.example',
    ]) {
      assert.ok(permits(configured, name), name);
    }
    for (const name of ['example.org', 'www.example.org', 'xlab.example.org', '*.example.org', 'example', 'www.bank.example']) {
      assert.ok(!permits(configured, name), name);
    }
  });

  test('localhost and private addresses always', () => {
    const always = ['localhost', 'app.localhost', '127.0.0.1', '10.255.0.1', '172.31.255.255', '192.168.1.1', '169.254.1.1', '100.64.0.1'];
    for (const name of [...always, '::1', 'fd00::1', 'fe80::1']) assert.ok(permits([], name), name);
  });

  test('a public address only where it is configured, and alone', () => {
    for (const name of [
      '8.8.8.8',
      '172.32.0.1',
      '172.15.255.255',
      '100.128.0.1',
      '192.169.0.1',
      '11.0.0.1',
      '2001:db8::1',
      '::2',
      'fec0::1',
    ]) {
      assert.ok(!permits(['203.0.113.7', '2001:db8::7'], name), name);
    }
    assert.ok(permits(['203.0.113.7', '2001:db8::7'], '203.0.113.7', '2001:db8::7'));
    assert.ok(!permits(['203.0.113.7'], '203.0.113.6'));
    assert.ok(!permits(['2001:db8::7'], '2001:db8::6'));
  });

  test('one name that is outside is enough to refuse all', () => {
    assert.ok(!permits(['lab.example.org'], 'lab.example.org', 'www.bank.example'));
  });

  test('names below another configured name need no entry of their own', () => {
    const { domains } = constraintsFor(
      parseIdentifiers(['www.lab.example.org', 'lab.example.org', '*.lab.example.org', 'a.b.other.example', 'x.localhost']),
    );
    assert.deepEqual([...domains].sort(), ['a.b.other.example', 'lab.example.org', 'localhost']);
  });
});

test('an address that is configured twice stands there once', () => {
  const { networks } = of('203.0.113.7', '203.0.113.7', '10.0.0.1');
  assert.equal(networks.length, of().networks.length + 1);
  const one = parseIdentifiers(['203.0.113.7']);
  assert.equal(constraintsFor([...one, ...one]).networks.length, networks.length);
});

test('a root replaces another where it permits everything that the other permits', () => {
  assert.ok(includes(of('example.org'), of('www.example.org')));
  assert.ok(includes(of('a.example', 'b.example', '203.0.113.7'), of('a.example')));
  assert.ok(!includes(of('www.example.org'), of('example.org')));
  assert.ok(!includes(of('a.example'), of('a.example', '203.0.113.7')));
});
