import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ChallengeConfig } from '../../../../src/config/config.ts';
import { serverName } from '../../../../src/services/doctor/ask-reach.ts';
import type { ConnectionFault, Fetched } from '../../../../src/services/doctor/fetch-token.ts';
import { judgeFetched, judgeShaken, type Way } from '../../../../src/services/doctor/judge-reach.ts';

const VOLUME: ChallengeConfig = { type: 'http-01', via: 'webroot', webroot: undefined };
const LISTENER: ChallengeConfig = { type: 'tls-alpn-01', via: 'listen', listen: '[::]:443' };
/** Of the router of this network, say. */
const OUTSIDE: Way = { name: 'www.example.org', address: '9.9.9.9', port: 80, own: false };
const OWN: Way = { ...OUTSIDE, own: true };

function failed(fault: ConnectionFault): Fetched {
  return { state: 'failed', fault, why: fault, redirects: [] };
}

function answered(body: string, status = 200): Fetched {
  return { state: 'answered', status, body, server: undefined, redirects: [] };
}

test('silence at an address of a router is a warning, as it may only be silent to its own side', () => {
  const outside = judgeFetched(failed('timeout'), 'x', OUTSIDE, VOLUME);
  assert.equal(outside.ok, 'warning');
  assert.match(outside.remedy ?? '', /hairpin NAT/);
  const own = judgeFetched(failed('timeout'), 'x', OWN, VOLUME);
  assert.equal(own.ok, 'problem');
  assert.doesNotMatch(own.remedy ?? '', /hairpin/);
  assert.equal(judgeFetched(failed('unreachable'), 'x', { ...OUTSIDE, address: '10.1.1.1' }, VOLUME).ok, 'problem');
});

test('what is refused or answered wrongly is a problem wherever it is, with the caveat where it may look different from outside', () => {
  for (const fetched of [failed('refused'), answered('', 404)]) {
    const outside = judgeFetched(fetched, 'x', OUTSIDE, VOLUME);
    const own = judgeFetched(fetched, 'x', OWN, VOLUME);
    assert.deepEqual([outside.ok, own.ok], ['problem', 'problem']);
    assert.match(outside.remedy ?? '', /^run podserve apache on port 80, .*hairpin NAT/);
    assert.doesNotMatch(own.remedy ?? '', /hairpin/);
  }
});

test('an address of a family that this host does not have cannot be judged from here', () => {
  const judgement = judgeFetched(failed('no-family'), 'x', { ...OUTSIDE, address: '2a00::1' }, VOLUME);
  assert.equal(judgement.ok, 'warning');
  assert.match(judgement.remedy ?? '', /test it from a host with IPv6/);
});

test('a token is right with and without a line end, and wrong in any other way', () => {
  assert.equal(judgeFetched(answered('a.b'), 'a.b', OWN, VOLUME).ok, 'good');
  assert.equal(judgeFetched(answered('a.b\r\n'), 'a.b', OWN, VOLUME).ok, 'good');
  for (const wrong of [answered(' a.b'), answered('a.bc'), answered(''), answered('a.b', 404)]) {
    assert.equal(judgeFetched(wrong, 'a.b', OWN, VOLUME).ok, 'problem');
  }
});

test('for tls-alpn-01 protocol and digest both have to be right', () => {
  const way = { ...OWN, port: 443 };
  const shaken = (protocol: string | undefined, digest: string | undefined): string =>
    judgeShaken({ state: 'shaken', protocol, certificate: { names: '', subject: '', digest } }, 'abc', way, LISTENER).ok;
  assert.equal(shaken('acme-tls/1', 'abc'), 'good');
  assert.equal(shaken('acme-tls/1', 'abd'), 'problem');
  assert.equal(shaken('acme-tls/1', undefined), 'problem');
  assert.equal(shaken(undefined, 'abc'), 'problem');
});

test('addresses are asked for by their names for reverse lookups', () => {
  assert.equal(serverName({ type: 'dns', value: 'www.example.org' }), 'www.example.org');
  assert.equal(serverName({ type: 'ip', value: '192.0.2.7' }), '7.2.0.192.in-addr.arpa');
  // RFC 8738 §6
  const expected = 'b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa';
  assert.equal(serverName({ type: 'ip', value: '2001:db8::567:89ab' }), expected);
});
