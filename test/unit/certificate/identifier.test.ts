import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { addressOctets, covers, displayIdentifier, parseIdentifier, parseIdentifiers } from '../../../src/certificate/identifier.ts';
import { PodserveError } from '../../../src/platform/errors.ts';

describe('names that can stand in a certificate', () => {
  const good: readonly [string, string][] = [
    ['WWW.Example.ORG', 'www.example.org'],
    ['example.org.', 'example.org'],
    ['localhost', 'localhost'],
    ['*.example.org', '*.example.org'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['*.Bücher.example', '*.xn--bcher-kva.example'],
    ['_acme.example.org', '_acme.example.org'],
    ['192.0.2.7', '192.0.2.7'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['[::1]', '::1'],
  ];
  for (const [text, value] of good) {
    test(`${text} becomes ${value}`, () => assert.equal(parseIdentifier(text).value, value));
  }

  test('a name of 64 characters in two labels is fine', () => {
    assert.equal(parseIdentifier(`${'a'.repeat(59)}.test`).value.length, 64);
  });

  test('repetitions are dropped, also when spelled differently', () => {
    assert.deepEqual(
      parseIdentifiers(['b.test', 'a.test', 'B.TEST']).map(({ value }) => value),
      ['b.test', 'a.test'],
    );
  });

  test('internationalised names are shown as people write them', () => {
    assert.equal(displayIdentifier(parseIdentifier('*.xn--bcher-kva.example')), '*.bücher.example');
  });
});

describe('names that cannot', () => {
  const bad: readonly [string, RegExp][] = [
    ['', /empty/],
    [`${'a'.repeat(64)}.test`, /64 characters.*at most 63/],
    [`${'abcdefghi.'.repeat(30)}test`, /304 characters.*at most 253/],
    ['a..b', /not a DNS name|empty label/],
    ['-a.test', /characters that DNS names do not/],
    ['www.*.test', /whole leftmost label/],
    ['*.test', /two labels/],
    ['https://www.test', /bare name/],
    ['www.test:443', /bare name/],
    ['fe80::1%eth0', /zone|bare name/],
    ['1.2.3', /reads as the address 1\.2\.0\.3/],
    ['a b.test', /not a DNS name/],
  ];
  for (const [text, why] of bad) {
    test(`${JSON.stringify(text.slice(0, 30))} is refused with the reason and a remedy`, () => {
      assert.throws(
        () => parseIdentifier(text),
        (error) =>
          error instanceof PodserveError && error.exitCode === 2 && why.test(`${error.why}; ${error.remedy}`) && error.remedy !== undefined,
      );
    });
  }
});

test('addresses become octets in network order', () => {
  assert.deepEqual([...addressOctets('192.0.2.7')], [192, 0, 2, 7]);
  assert.deepEqual([...addressOctets('2001:db8::1')], [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  assert.deepEqual([...addressOctets('::')], Array(16).fill(0));
});

test('a wildcard speaks for exactly one label', () => {
  const have = [parseIdentifier('*.example.org')];
  assert.equal(covers(have, parseIdentifier('a.example.org')), true);
  assert.equal(covers(have, parseIdentifier('a.b.example.org')), false);
  assert.equal(covers(have, parseIdentifier('example.org')), false);
  assert.equal(covers(have, parseIdentifier('*.example.org')), true);
});
