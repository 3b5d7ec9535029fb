import assert from 'node:assert/strict';
import { test } from 'node:test';

import { scopeOf, vantageOf } from '../../../../src/services/doctor/address.ts';
import { judgeResolution, type AddressLookup } from '../../../../src/services/doctor/judge-resolve.ts';

const NONE: AddressLookup = { state: 'none' };

function found(...addresses: readonly string[]): AddressLookup {
  return { state: 'found', addresses };
}

test('a name with public addresses is good, with IPv4, IPv6 or both', () => {
  for (const [a, aaaa] of [
    [found('8.8.4.4'), NONE],
    [NONE, found('2a00::1')],
    [found('8.8.4.4'), found('2a00::1')],
  ] as const) {
    const [judgement, ...more] = judgeResolution({ name: 'www.lab.test', a, aaaa }, 'http-01', 'internet');
    assert.deepEqual([judgement?.ok, judgement?.remedy, more], ['good', undefined, []]);
  }
});

test('a name without addresses is told with the record to add, and is fine for dns-01', () => {
  const [missing] = judgeResolution({ name: 'www.lab.test', a: { state: 'missing' }, aaaa: { state: 'missing' } }, 'http-01', 'internet');
  assert.deepEqual([missing?.ok, missing?.what], ['problem', 'does not exist in DNS']);
  assert.match(missing?.remedy ?? '', /add an A record \(IPv4\) or AAAA record \(IPv6\) for www\.lab\.test/);
  const [bare] = judgeResolution({ name: 'www.lab.test', a: NONE, aaaa: NONE }, 'tls-alpn-01', 'house');
  assert.equal(bare?.what, 'has neither an A nor an AAAA record');
  assert.deepEqual(judgeResolution({ name: 'www.lab.test', a: NONE, aaaa: NONE }, 'dns-01', 'internet'), []);
});

test('a lookup that fails is a problem even when the other type has an answer', () => {
  const failed: AddressLookup = { state: 'failed', why: '127.0.0.1:53 answers SERVFAIL' };
  const judgements = judgeResolution({ name: 'www.lab.test', a: found('8.8.4.4'), aaaa: failed }, 'http-01', 'internet');
  assert.deepEqual(
    judgements.map(({ ok, what }) => [ok, what]),
    [
      ['problem', 'looking up its AAAA records failed: 127.0.0.1:53 answers SERVFAIL'],
      ['good', 'resolves to 8.8.4.4'],
    ],
  );
});

test('an address that the internet does not reach is a problem for a public CA, a warning for an unknown one, and fine for one of the house', () => {
  const resolution = { name: 'www.lab.test', a: found('192.168.1.7'), aaaa: NONE };
  const verdicts = (['internet', 'unknown', 'house'] as const).map((vantage) => judgeResolution(resolution, 'http-01', vantage)[0]);
  assert.deepEqual(
    verdicts.map((one) => one?.ok),
    ['problem', 'warning', 'good'],
  );
  assert.equal(verdicts[0]?.what, '192.168.1.7 is a private address: a public CA cannot reach it');
  assert.match(verdicts[0]?.remedy ?? '', /point the A record at an address that the internet reaches, or use challenge: dns-01/);
});

test('addresses are known by the ranges they lie in', () => {
  const expected = {
    '8.8.8.8': 'public',
    '10.1.2.3': 'private',
    '172.15.255.255': 'public',
    '172.16.0.0': 'private',
    '100.64.0.1': 'private',
    '127.1.1.1': 'loopback',
    '169.254.1.1': 'link-local',
    '192.0.2.1': 'reserved',
    '255.255.255.255': 'reserved',
    '::1': 'loopback',
    '::': 'reserved',
    '2a00:1450::1': 'public',
    'fd00::1': 'private',
    'fe80::1': 'link-local',
    '2001:db8::1': 'reserved',
  };
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((address) => [address, scopeOf(address)])), expected);
});

test('a CA is public by its host, and of the house when its root is given', () => {
  assert.equal(vantageOf('https://acme-v02.api.letsencrypt.org/directory', undefined), 'internet');
  assert.equal(vantageOf('https://acme-v02.api.letsencrypt.org/directory', '/root.pem'), 'internet');
  assert.equal(vantageOf('https://ca.lab.test/acme', '/root.pem'), 'house');
  assert.equal(vantageOf('https://notletsencrypt.org/acme', undefined), 'unknown');
});
