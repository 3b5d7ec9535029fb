import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AcmeProblem, AcmeTransportError, type TransportFault } from '../../../../src/acme/problem.ts';
import type { DirectoryMeta } from '../../../../src/acme/resources.ts';
import { DAY, HOUR, MINUTE } from '../../../../src/platform/clock.ts';
import { judgeClock, judgeExternalAccount, judgeProfile, judgeUnanswered } from '../../../../src/services/doctor/judge-ca.ts';

const META: DirectoryMeta = {
  termsOfService: undefined,
  externalAccountRequired: false,
  caaIdentities: [],
  profiles: { classic: 'ninety days', shortlived: 'six days' },
};
const URL = 'https://ca.lab.test/dir';

test('a profile that the CA offers is good, another one is told with the nearest', () => {
  assert.equal(judgeProfile(META, undefined), undefined);
  assert.equal(judgeProfile(META, 'classic')?.ok, 'good');
  const wrong = judgeProfile(META, 'shortlive');
  assert.equal(wrong?.ok, 'problem');
  assert.equal(wrong?.remedy, 'did you mean shortlived? it offers classic, shortlived');
  assert.match(judgeProfile({ ...META, profiles: {} }, 'classic')?.what ?? '', /offers no profiles/);
});

test('a CA that binds accounts wants a key that can be used, until there is an account', () => {
  const bound = { ...META, externalAccountRequired: true };
  const eab = { kid: 'abc', hmacFile: '/run/eab' };
  const fresh = { present: false, hmacTrouble: undefined };
  assert.match(
    judgeExternalAccount(bound, { name: 'house', eab: undefined }, fresh)?.remedy ?? '',
    /set issuers\.house\.eab\.kid and eab\.hmacFile/,
  );
  assert.equal(judgeExternalAccount(bound, { name: 'house', eab }, fresh)?.ok, 'good');
  assert.equal(judgeExternalAccount(bound, { name: 'house', eab }, { present: false, hmacTrouble: 'it is empty' })?.ok, 'problem');
  assert.equal(judgeExternalAccount(bound, { name: 'house', eab: undefined }, { present: true, hmacTrouble: undefined }), undefined);
  assert.equal(judgeExternalAccount(META, { name: 'house', eab: undefined }, fresh), undefined);
});

test('the clock is good within minutes, uneasy within an hour, and a problem beyond', () => {
  assert.equal(judgeClock(0, 4 * MINUTE).ok, 'good');
  assert.deepEqual(judgeClock(0, 20 * MINUTE).what, "the clock is 20 minutes ahead of the CA's");
  assert.equal(judgeClock(0, 20 * MINUTE).ok, 'warning');
  assert.equal(judgeClock(0, -2 * HOUR).ok, 'problem');
  assert.equal(judgeClock(40 * DAY, 0).what, "the clock is 40 days behind the CA's");
});

test('each way in which a directory does not answer has a remedy of its own', () => {
  const remedyFor = (fault: TransportFault, caFile?: string): string =>
    judgeUnanswered(new AcmeTransportError(fault, `GET ${URL}`, 'said'), URL, { caFile }).remedy ?? '';
  assert.match(remedyFor('dns'), /resolvers/);
  assert.match(remedyFor('tls'), /give its root with caFile.*clock/);
  assert.match(remedyFor('tls', '/house.pem'), /see that \/house\.pem holds the root/);
  assert.match(remedyFor('timeout'), /firewall/);
  assert.match(remedyFor('content-type'), /no ACME server: check the directory's URL/);
  const fields = { type: '', status: 503, document: undefined, retryAfter: undefined, request: `GET ${URL}`, links: {}, message: '503' };
  assert.match(judgeUnanswered(new AcmeProblem(fields), URL, { caFile: undefined }).remedy ?? '', /whether the CA is in trouble/);
});
