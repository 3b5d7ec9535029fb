import assert from 'node:assert/strict';
import { test } from 'node:test';

import { judgeCaa, type CaaQuestion, type CaaRecord, type CaaStep } from '../../../../src/services/doctor/judge-caa.ts';

const ACCOUNT = 'https://acme.example/acct/1';
const QUESTION: CaaQuestion = { wildcard: false, identities: ['letsencrypt.org'], challenge: 'http-01', account: { url: ACCOUNT } };

function records(...lines: readonly string[]): CaaRecord[] {
  return lines.map((line) => {
    const [flags = '', tag = '', ...value] = line.split(' ');
    return { critical: flags === '128', tag, value: value.join(' ') };
  });
}

function at(name: string, ...lines: readonly string[]): CaaStep {
  return { name, records: records(...lines) };
}

function judged(lines: readonly string[], question: Partial<CaaQuestion> = {}): string {
  const { ok, what } = judgeCaa([at('lab.test', ...lines)], { ...QUESTION, ...question });
  return `${ok}: ${what}`;
}

test('without CAA records everybody may issue', () => {
  const { ok, remedy } = judgeCaa([at('www.lab.test'), at('lab.test'), at('test')], QUESTION);
  assert.deepEqual([ok, remedy], ['good', undefined]);
});

test('a record cannot forge a line of its own, nor control a terminal', () => {
  assert.equal(
    judged(['0 issue evil.test\u001b[2J\u009b\r\ngood \u202ehost']),
    'problem: CAA of lab.test lets evil.test [2j good  host issue, not letsencrypt.org',
  );
});

test('a CA that CAA names is allowed, in any case and with parameters of others beside it', () => {
  assert.equal(judged(['0 issue LetsEncrypt.ORG']), 'good: CAA of lab.test allows letsencrypt.org');
  assert.match(judged(['0 issue other.example', '0 issue letsencrypt.org; x=y']), /^good/);
});

test('a CA that CAA does not name is told, with the record to add', () => {
  const { ok, what, remedy } = judgeCaa([at('lab.test', '0 issue other.example')], QUESTION);
  assert.equal(ok, 'problem');
  assert.equal(what, 'CAA of lab.test lets other.example issue, not letsencrypt.org');
  assert.equal(remedy, 'add the record lab.test. CAA 0 issue "letsencrypt.org"');
});

test('an empty or malformed property allows nobody', () => {
  assert.match(judged(['0 issue ;']), /^problem: CAA of lab\.test lets nobody issue/);
  assert.match(judged(['0 issue letsencrypt.org; %%%%%']), /^problem/);
});

test('the nearest records count, those above them do not', () => {
  const steps = [at('www.lab.test', '0 issue letsencrypt.org'), at('lab.test', '0 issue other.example')];
  assert.equal(judgeCaa(steps, QUESTION).ok, 'good');
  const above = [at('www.lab.test'), at('lab.test', '0 issue other.example')];
  assert.match(judgeCaa(above, QUESTION).what, /CAA of lab\.test lets other\.example/);
});

test('for a wildcard issuewild wins over issue, and issue counts where there is no issuewild', () => {
  const wildcard = { wildcard: true };
  assert.match(judged(['0 issue letsencrypt.org', '0 issuewild ;'], wildcard), /^problem/);
  assert.match(judged(['0 issue ;', '0 issuewild letsencrypt.org'], wildcard), /^good/);
  assert.match(judged(['0 issue other.example'], wildcard), /^problem/);
  assert.match(judged(['0 issue letsencrypt.org'], wildcard), /^good/);
  assert.match(judged(['0 issuewild other.example']), /^good/);
});

test('records that only say whom to tell restrict nothing', () => {
  assert.match(judged(['0 iodef mailto:a@lab.test']), /^good/);
});

test('an unknown critical property makes CAs refuse, an unknown one that is not critical does not', () => {
  assert.match(
    judged(['0 issue letsencrypt.org', '128 tbs anything']),
    /^problem: CAA of lab\.test has the property "tbs", marked critical/,
  );
  assert.match(judged(['0 issue letsencrypt.org', '0 tbs anything']), /^good/);
  assert.match(judged(['128 issue letsencrypt.org']), /^good/);
});

test('validationmethods must name the configured challenge', () => {
  assert.match(judged(['0 issue letsencrypt.org; validationmethods=dns-01']), /^problem: .* by dns-01 only, and http-01 is configured/);
  assert.match(judged(['0 issue letsencrypt.org; validationmethods=dns-01,http-01']), /^good/);
});

test('accounturi must name the account that orders', () => {
  const bound = [`0 issue letsencrypt.org; accounturi=${ACCOUNT}`];
  assert.match(judged(bound), /^good/);
  assert.match(
    judged(bound, { account: { url: 'https://acme.example/acct/2' } }),
    /^problem: .* and the account here is https:\/\/acme\.example\/acct\/2/,
  );
  assert.match(judged(bound, { account: { url: undefined } }), /^problem: .* there is no account yet/);
  assert.match(judged(bound, { account: undefined }), /^warning/);
  assert.match(judged([`0 issue letsencrypt.org; accounturi=${ACCOUNT}; accounturi=${ACCOUNT}`]), /^problem: .* several accounts/);
});

test('one property that fits is enough', () => {
  assert.match(
    judged(['0 issue letsencrypt.org; validationmethods=dns-01', '0 issue letsencrypt.org; validationmethods=http-01']),
    /^good/,
  );
});

test('where CAA cannot be looked up CAs refuse, unless a nearer name has records', () => {
  const failing: CaaStep = { name: 'lab.test', records: [], failure: '127.0.0.1:53 answers SERVFAIL' };
  const { ok, what } = judgeCaa([at('www.lab.test'), failing], QUESTION);
  assert.equal(ok, 'problem');
  assert.match(what, /the CAA records of lab\.test cannot be looked up: 127\.0\.0\.1:53 answers SERVFAIL; CAs refuse then/);
  assert.equal(judgeCaa([at('www.lab.test', '0 issue letsencrypt.org'), failing], QUESTION).ok, 'good');
});

test('a CA that does not say its name is a warning only where CAA restricts', () => {
  assert.match(judged(['0 issue other.example'], { identities: [] }), /^warning: CAA of lab\.test lets other\.example issue/);
  assert.match(judged([], { identities: [] }), /^good/);
  assert.match(judged(['0 issue letsencrypt.org'], { identities: undefined }), /^warning: .* the CA did not answer who it is/);
});
