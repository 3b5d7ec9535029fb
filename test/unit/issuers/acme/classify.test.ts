import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { AcmeProblem, AcmeTransportError, type TransportFault } from '../../../../src/acme/problem.ts';
import type { ProblemDocument } from '../../../../src/acme/resources.ts';
import { parseIdentifiers } from '../../../../src/certificate/identifier.ts';
import { classify, type Attempt } from '../../../../src/issuers/acme/classify.ts';
import { IssueFailure } from '../../../../src/issuers/acme/failure.ts';
import { HOUR } from '../../../../src/platform/clock.ts';
import { describeError } from '../../../../src/platform/errors.ts';
import { NOW } from '../../../support/acme-issuing.ts';
import { refusal } from '../../../support/fake-acme-server.ts';

const ATTEMPT: Attempt = {
  what: 'letsencrypt gave no certificate for default',
  issuer: 'letsencrypt',
  server: 'https://acme.test/directory',
  step: 'order',
  identifiers: parseIdentifiers(['www.example.org', '192.0.2.1']),
  now: NOW,
};

function classified(error: unknown, change: Partial<Attempt> = {}): IssueFailure {
  const failure = classify(error, { ...ATTEMPT, ...change });
  assert.ok(failure instanceof IssueFailure);
  return failure;
}

const bare = (status: number, retryAfter?: number): AcmeProblem =>
  new AcmeProblem({
    type: '',
    status,
    document: undefined,
    retryAfter,
    request: 'POST https://acme.test/',
    links: {},
    message: String(status),
  });

const part = (type: string, value: string): ProblemDocument => ({
  type: `urn:ietf:params:acme:error:${type}`,
  title: undefined,
  detail: `no ${value}`,
  status: 400,
  identifier: { type: 'dns', value },
  subproblems: [],
});

describe('the kind of a refusal', () => {
  for (const [type, status, step, kind] of [
    ['rateLimited', 429, 'order', 'rate-limited'],
    ['rateLimited', 403, 'order', 'rate-limited'],
    ['serverInternal', 500, 'order', 'server'],
    ['badNonce', 400, 'order', 'server'],
    ['caa', 403, 'order', 'caa'],
    ['dns', 400, 'challenge', 'challenge'],
    ['connection', 400, 'challenge', 'challenge'],
    ['tls', 400, 'challenge', 'challenge'],
    ['incorrectResponse', 403, 'challenge', 'challenge'],
    ['unauthorized', 403, 'challenge', 'challenge'],
    ['unauthorized', 403, 'order', 'account'],
    ['accountDoesNotExist', 400, 'order', 'account'],
    ['userActionRequired', 403, 'order', 'account'],
    ['invalidContact', 400, 'account', 'account'],
    ['externalAccountRequired', 403, 'account', 'configuration'],
    ['invalidProfile', 400, 'order', 'configuration'],
    ['rejectedIdentifier', 400, 'order', 'rejected'],
    ['unsupportedIdentifier', 400, 'order', 'rejected'],
    ['badCSR', 400, 'finalize', 'rejected'],
    ['malformed', 400, 'order', 'rejected'],
    ['somethingNew', 400, 'order', 'rejected'],
    ['somethingNew', 502, 'order', 'server'],
    ['somethingNew', 403, 'order', 'account'],
  ] as const) {
    test(`${type} (${status}) at the ${step} is ${kind}`, () => {
      assert.equal(classified(refusal(type, status, 'why'), { step }).kind, kind);
    });
  }

  test('without a problem document comes from the status', () => {
    assert.deepEqual(
      [bare(500), bare(503), bare(503, HOUR), bare(429), bare(404)].map((problem) => classified(problem).kind),
      ['server', 'server', 'rate-limited', 'rate-limited', 'rejected'],
    );
    assert.equal(classified(bare(404), { step: 'directory' }).kind, 'configuration');
  });

  test('of several is the one that only a person can mend', () => {
    const failure = classified(refusal('compound', 400, 'several', { subproblems: [part('dns', 'a.example'), part('caa', 'b.example')] }));
    assert.equal(failure.kind, 'caa');
    assert.deepEqual(failure.problems, ['a.example: dns: no a.example', 'b.example: caa: no b.example']);
  });
});

describe('a request without a usable answer', () => {
  for (const fault of ['dns', 'connect', 'tls', 'timeout', 'cut', 'too-large', 'content-type', 'malformed', 'redirect'] as const) {
    test(`(${fault}) is unreachable, for all of the issuer's certificates`, () => {
      const failure = classified(
        new AcmeTransportError(fault satisfies TransportFault, 'POST https://acme.test/', `POST https://acme.test/: ${fault}`),
      );
      assert.deepEqual([failure.kind, failure.scope], ['unreachable', 'issuer']);
      assert.match(
        describeError(failure),
        /^letsencrypt gave no certificate for default: https:\/\/acme\.test\/directory: the new order: POST .*; see that/,
      );
    });
  }

  test('that is no directory is a matter of its URL', () => {
    for (const fault of ['malformed', 'content-type', 'redirect', 'too-large'] as const) {
      const error = new AcmeTransportError(fault, 'GET https://acme.test/directory', 'no directory');
      assert.match(classified(error, { step: 'directory' }).remedy ?? '', /^correct issuers\.letsencrypt\.directory: no ACME server/);
    }
    assert.match(classified(bare(404), { step: 'directory' }).remedy ?? '', /^correct issuers\.letsencrypt\.directory$/);
  });

  test('because no nonce was accepted is a fault of the server', () => {
    assert.equal(classified(new AcmeTransportError('nonce', 'POST x', 'none accepted')).kind, 'server');
  });
});

describe('a limit', () => {
  for (const [detail, scope] of [
    [
      'too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-23 13:00:00 UTC: see https://example.org/docs',
      'issuer',
    ],
    ['too many certificates (50) already issued for "example.org" in the last 168h0m0s', 'certificate'],
    ['too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s', 'certificate'],
    ['too many failed authorizations (5) for "www.example.org" in the last 1h0m0s', 'certificate'],
    ['too many failed authorizations (5) for "192.0.2.1" in the last 1h0m0s', 'certificate'],
    ['too many certificates (50) already issued for "other.org"', 'issuer'],
    ['Service busy; retry later.', 'issuer'],
  ] as const) {
    test(`"${detail.slice(0, 60)}…" holds for the ${scope}`, () => {
      assert.equal(classified(refusal('rateLimited', 429, detail)).scope, scope);
    });
  }

  test('says until when, by its header or else by its words, and not in the past', () => {
    assert.equal(classified(refusal('rateLimited', 429, 'no', { retryAfter: HOUR })).retryAt, NOW + HOUR);
    const words = 'too many, retry after 2026-11-23 15:04:05 UTC: see https://x';
    assert.equal(classified(refusal('rateLimited', 429, words)).retryAt, Date.parse('2026-11-23T15:04:05Z'));
    assert.equal(classified(refusal('rateLimited', 429, 'retry after 2020-01-01 00:00:00 UTC')).retryAt, NOW);
    const plain = classified(refusal('rateLimited', 429, 'no'));
    assert.equal(plain.retryAt, undefined);
    assert.match(classified(refusal('rateLimited', 429, 'no', { retryAfter: HOUR })).remedy ?? '', /not before 2026-11-23 13:00 UTC/);
  });

  test('that only a person can end is a pause, with the link', () => {
    const url = 'https://sfe.letsencrypt.org/sfe/v1/unpause?jwt=abc.def-ghi';
    const failure = classified(
      refusal(
        'rateLimited',
        429,
        `Your account is temporarily prevented from requesting certificates for www.example.org and possibly others. Please visit: ${url}.`,
      ),
    );
    assert.deepEqual([failure.kind, failure.scope, failure.unpauseUrl], ['paused', 'certificate', url]);
    assert.match(failure.remedy ?? '', /unpause\?jwt=abc/);
    assert.equal(classified(refusal('rateLimited', 429, 'see', { links: { help: [url] } })).unpauseUrl, url);
    assert.equal(classified(refusal('rateLimited', 429, 'see https://x.example/docs?unpause=1')).unpauseUrl, undefined);
  });
});

describe('what a person reads', () => {
  test('has what was attempted, where, what the server said and what to do', () => {
    const failure = classified(refusal('rejectedIdentifier', 400, 'policy forbids it'), { subject: 'www.example.org' });
    assert.equal(
      describeError(failure),
      'letsencrypt gave no certificate for default: www.example.org: the new order: rejectedIdentifier (400): policy forbids it; the CA does not sign for this name: take it out of the certificate, or choose another issuer',
    );
  });

  test('has no control characters of the server, and not all that it may say', () => {
    const line = describeError(classified(refusal('malformed', 400, `a\u001b[31mred\r\nnext\u202Eback${'x'.repeat(5000)}`)));
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(line, /[\u0000-\u001f\u202e]/);
    assert.ok(line.length < 1200);
  });

  test('has the terms that are to be agreed to', () => {
    const links = { 'terms-of-service': ['https://acme.test/terms/2'] };
    assert.match(classified(refusal('userActionRequired', 403, 'new terms', { links })).remedy ?? '', /at https:\/\/acme\.test\/terms\/2/);
  });

  test('is left as it is when it is no matter of the server', () => {
    const error = new Error('stopped');
    assert.equal(classify(error, ATTEMPT), error);
  });
});
