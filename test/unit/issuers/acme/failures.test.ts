import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { leafSha256 } from '../../../../src/certificate/bundle.ts';
import type { AcmeClient } from '../../../../src/acme/client.ts';
import type { ProblemDocument } from '../../../../src/acme/resources.ts';
import type { IssueFailure } from '../../../../src/issuers/acme/failure.ts';
import { DAY, HOUR } from '../../../../src/platform/clock.ts';
import { PodserveError, describeError } from '../../../../src/platform/errors.ts';
import { makeBundle } from '../../../support/bundles.ts';
import { issuing, NOW, wanted, type Issuing } from '../../../support/acme-issuing.ts';
import { refusal } from '../../../support/fake-acme-server.ts';

const never = new AbortController().signal;

async function failureOf(work: Promise<unknown>): Promise<IssueFailure> {
  try {
    await work;
  } catch (error) {
    return error as IssueFailure;
  }
  throw new Error('it did not fail');
}

function problem(type: string, detail: string, name?: string, subproblems: readonly ProblemDocument[] = []): ProblemDocument {
  const identifier = name === undefined ? undefined : ({ type: 'dns', value: name } as const);
  return { type: `urn:ietf:params:acme:error:${type}`, title: undefined, detail, status: 403, identifier, subproblems };
}

const kept = ({ directory }: Issuing): boolean => existsSync(join(directory, 'orders', 'default.json'));

describe('a failed validation', () => {
  test('names the identifier, the challenge and what the CA said; is counted; and the next try makes a new order', async (t) => {
    const set = await issuing(t);
    set.server.validate = ({ value }) =>
      value.startsWith('b') ? problem('unauthorized', 'Invalid response from http://b.example.org/: 404') : undefined;
    const failure = await failureOf((await set.open()).issue(wanted(['a.example.org', 'b.example.org']), { now: NOW }));
    assert.equal(failure.kind, 'challenge');
    assert.equal(failure.scope, 'certificate');
    assert.equal(
      describeError(failure),
      'fake gave no certificate for default: b.example.org: its http-01 challenge failed: unauthorized: Invalid response from http://b.example.org/: 404; podserve doctor b.example.org looks at the way that the CA takes',
    );
    assert.deepEqual(set.uses, ['account', 'order', 'failure b.example.org']);
    assert.deepEqual(set.solver.standing, []);
    assert.equal(kept(set), false);
    set.server.validate = () => undefined;
    await (await set.open()).issue(wanted(['a.example.org', 'b.example.org']), { now: NOW });
    assert.equal(set.server.orders.size, 2);
  });

  test('of several names has one line for each', async (t) => {
    const set = await issuing(t);
    set.server.validate = ({ value }) => problem('dns', `no address for ${value}`);
    const failure = await failureOf((await set.open()).issue(wanted(['a.example.org', 'b.example.org']), { now: NOW }));
    assert.match(failure.why ?? '', /^2 of 2 names could not be proven/);
    assert.deepEqual(failure.problems, [
      'a.example.org: its http-01 challenge failed: dns: no address for a.example.org',
      'b.example.org: its http-01 challenge failed: dns: no address for b.example.org',
    ]);
  });

  test('by CAA is told apart, with the record to change', async (t) => {
    const set = await issuing(t);
    set.server.validate = () => problem('caa', 'CAA record for example.org prevents issuance');
    const failure = await failureOf((await set.open()).issue(wanted(), { now: NOW }));
    assert.equal(failure.kind, 'caa');
    assert.match(failure.remedy ?? '', /CAA record.*podserve doctor a\.example\.org/);
  });

  test('that a server hides behind a pending order is found all the same', async (t) => {
    const set = await issuing(t);
    set.server.validate = () => problem('connection', 'refused');
    const { client } = set.server;
    const order: typeof client.order = client.order.bind(client);
    Object.assign(set.server.client, {
      order: async (...args: Parameters<typeof order>) => {
        const polled = await order(...args);
        return { ...polled, value: { ...polled.value, status: 'pending' } };
      },
    });
    const failure = await failureOf((await set.open()).issue(wanted(), { now: NOW }));
    assert.equal(failure.kind, 'challenge');
    assert.ok(set.clock.time - NOW < 10_000, 'long before the patience ends');
  });
});

describe('an answer that cannot be put in place', () => {
  test('is the failure, the CA is not told, and the order is gone on with', async (t) => {
    const set = await issuing(t);
    set.solver.refuse = new PodserveError('CHALLENGE_FAILED', 'the token cannot be written', {
      where: '/x',
      why: 'ENOSPC',
      remedy: 'free some space',
      problems: ['one'],
    });
    const failure = await failureOf((await set.open()).issue(wanted(), { now: NOW }));
    assert.equal(failure.kind, 'solver');
    assert.match(
      describeError(failure),
      /a\.example\.org: the token cannot be written: \/x: ENOSPC; free some space; podserve doctor|x: ENOSPC; free some space \| one$/,
    );
    assert.ok(!set.server.calls.includes('answerChallenge'));
    set.solver.refuse = undefined;
    await (await set.open()).issue(wanted(), { now: NOW });
    assert.equal(set.server.orders.size, 1);
  });

  test('or taken away again is a warning and stops nothing', async (t) => {
    const set = await issuing(t);
    set.solver.cleanup = async () => {
      throw new PodserveError('CHALLENGE_FAILED', 'the record cannot be removed');
    };
    await (await set.open()).issue(wanted(), { now: NOW });
    assert.match(set.logged.join('\n'), /warn: the answer to a challenge was left behind: the record cannot be removed/);
  });

  test('a name that was not ordered is proven for no CA: nothing is put anywhere for it', async (t) => {
    const set = await issuing(t);
    const { client } = set.server;
    const another = { type: 'dns', value: 'other.example.net' } as const;
    const asked: AcmeClient['authorization'] = async (...about) => {
      const polled = await client.authorization(...about);
      return { ...polled, value: { ...polled.value, identifier: another } };
    };
    Object.assign(set.server, { client: { ...client, authorization: asked } });
    const failure = await failureOf((await set.open()).issue(wanted(['a.example.org']), { now: NOW }));
    assert.equal(failure.kind, 'server');
    assert.match(describeError(failure), /: other\.example\.net: the CA wants this proven, which was not ordered; /);
    assert.deepEqual(set.solver.seen, []);
  });

  test('a challenge that is not offered is a matter of configuration', async (t) => {
    const set = await issuing(t);
    const failure = await failureOf((await set.open()).issue(wanted(['*.example.org']), { now: NOW }));
    assert.equal(failure.kind, 'configuration');
    assert.equal(failure.why, 'the CA does not offer http-01 for it, but dns-01, dns-persist-01');
    assert.match(failure.remedy ?? '', /wildcards need dns-01/);
  });
});

describe('what is issued', () => {
  for (const [what, break_, why] of [
    [
      'for other names',
      (set: Issuing) => (set.server.issueFor = [{ type: 'dns', value: 'x.example.org' }]),
      /it does not have a\.example\.org/,
    ],
    [
      'for more names',
      (set: Issuing) => (set.server.issueFor = ['a.example.org', 'x.example.org'].map((value) => ({ type: 'dns', value }))),
      /it also has x\.example\.org/,
    ],
    ['when it has ended already', (set: Issuing) => (set.server.validity = { from: -2 * DAY, to: -DAY }), /it ended at 2026-11-22/],
    ['when it begins tomorrow', (set: Issuing) => (set.server.validity = { from: DAY, to: 2 * DAY }), /it begins at 2026-11-24/],
  ] as const) {
    test(`is refused ${what}, and the order forgotten`, async (t) => {
      const set = await issuing(t);
      break_(set);
      const failure = await failureOf((await set.open()).issue(wanted(), { now: NOW }));
      assert.equal(failure.kind, 'bad-certificate');
      assert.match(failure.why ?? '', why);
      assert.equal(kept(set), false);
    });
  }

  test('that cannot be read is asked for again at the next try, with no new order', async (t) => {
    for (const text of ['hello', '-----BEGIN CERTIFICATE-----\nAAAA', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
      const set = await issuing(t);
      set.server.chain = () => text;
      const failure = await failureOf((await set.open()).issue(wanted(), { now: NOW }));
      assert.equal(failure.kind, 'unreachable');
      assert.match(failure.why ?? '', /what was downloaded is no certificate/);
      set.server.chain = undefined;
      await (await set.open()).issue(wanted(), { now: NOW });
      assert.equal(set.server.orders.size, 1);
    }
  });

  test('is refused with another key, or a chain that does not belong to it', async (t) => {
    const other = await makeBundle({ names: ['a.example.org'], chain: 1, notBefore: NOW - HOUR });
    for (const [chain, why] of [
      [() => other.leafPem + other.chainPem, /the private key does not belong/],
      [(leaf: string) => leaf + other.chainPem, /did not sign/],
    ] as const) {
      const set = await issuing(t);
      set.server.chain = chain;
      const failure = await failureOf((await set.open()).issue(wanted(), { now: NOW }));
      assert.equal(failure.kind, 'bad-certificate');
      assert.match(failure.why ?? '', why);
    }
  });
});

describe('an order that replaces a certificate', () => {
  for (const inWindow of [true, false]) {
    test(`says so, and is ${inWindow ? 'not counted inside' : 'counted outside'} the window that the CA suggested`, async (t) => {
      const set = await issuing(t);
      const issuer = await set.open();
      const { leaf } = await issuer.issue(wanted(), { now: NOW });
      issuer.settled('default');
      set.uses.length = 0;
      const next = await issuer.issue(wanted(), { now: NOW, replaces: { leaf, inWindow } });
      assert.ok(set.server.calls.includes('newOrder replaces'));
      assert.deepEqual(
        set.uses.map((use) => use.split(' ')[0]),
        inWindow ? [] : ['order', 'certificate', 'duplicate'],
      );
      assert.notEqual(leafSha256(next.leaf), leafSha256(leaf));
    });
  }

  for (const [type, status] of [
    ['alreadyReplaced', 409],
    ['malformed', 400],
    ['unauthorized', 403],
  ] as const) {
    test(`is made once more without it when the server says ${type}`, async (t) => {
      const set = await issuing(t);
      const issuer = await set.open();
      const { leaf } = await issuer.issue(wanted(), { now: NOW });
      issuer.settled('default');
      set.server.hook = (call, done) => {
        if (call === 'newOrder replaces' && !done) throw refusal(type, status, 'not yours');
      };
      set.server.calls.length = 0;
      set.uses.length = 0;
      await issuer.issue(wanted(), { now: NOW, replaces: { leaf, inWindow: true } });
      assert.deepEqual(
        set.server.calls.filter((call) => call.startsWith('newOrder')),
        ['newOrder replaces', 'newOrder'],
      );
      assert.deepEqual(set.uses, ['order', 'certificate example.org', 'duplicate a.example.org']);
    });
  }

  test('is asked for once only when the limit of orders is reached', async (t) => {
    const set = await issuing(t);
    const issuer = await set.open();
    const { leaf } = await issuer.issue(wanted(), { now: NOW });
    issuer.settled('default');
    set.server.hook = (call, done) => {
      if (call.startsWith('newOrder') && !done) throw refusal('rateLimited', 429, 'too many new orders', { retryAfter: HOUR });
    };
    set.server.calls.length = 0;
    const failure = await failureOf(issuer.issue(wanted(), { now: NOW, replaces: { leaf, inWindow: true } }));
    assert.deepEqual([failure.kind, failure.scope, failure.retryAt], ['rate-limited', 'issuer', set.clock.time + HOUR]);
    assert.deepEqual(set.server.calls, ['newOrder replaces']);
  });

  test('is an ordinary one where the server has no renewal information', async (t) => {
    const set = await issuing(t);
    const issuer = await set.open();
    const { leaf } = await issuer.issue(wanted(), { now: NOW });
    Object.assign(set.server.directory, { renewalInfo: undefined });
    await issuer.issue(wanted(), { now: NOW, replaces: { leaf, inWindow: true } });
    assert.ok(!set.server.calls.includes('newOrder replaces'));
    assert.equal(await issuer.renewalInfo(leaf, never), undefined);
  });
});

describe('a finalization', () => {
  test('that comes too early is repeated when the order is ready', async (t) => {
    const set = await issuing(t);
    let refused = 0;
    set.server.hook = (call, done) => {
      if (call === 'finalize' && !done && refused++ === 0) throw refusal('orderNotReady', 403);
    };
    await (await set.open()).issue(wanted(), { now: NOW });
    assert.equal(set.server.issued.length, 1);
  });

  test('that is refused ends the order; one that meets a limit or an ailing server does not', async (t) => {
    for (const [type, status, stays, kind] of [
      ['badCSR', 400, false, 'rejected'],
      ['caa', 403, false, 'caa'],
      ['rateLimited', 429, true, 'rate-limited'],
      ['serverInternal', 500, true, 'server'],
    ] as const) {
      const set = await issuing(t);
      set.server.hook = (call, done) => {
        if (call === 'finalize' && !done) throw refusal(type, status, 'no');
      };
      const failure = await failureOf((await set.open()).issue(wanted(), { now: NOW }));
      assert.equal(failure.kind, kind);
      assert.equal(kept(set), stays, type);
    }
  });
});

describe('a revocation', () => {
  test('is signed by the account, and by the key of the certificate where the account may not', async (t) => {
    const set = await issuing(t);
    const issuer = await set.open();
    const bundle = await issuer.issue(wanted(), { now: NOW });
    await issuer.revoke(bundle, 'superseded', never);
    let refused = 0;
    set.server.hook = (call, done) => {
      if (call === 'revoke' && !done && refused++ === 0) throw refusal('unauthorized', 403);
    };
    await issuer.revoke(bundle, 'keyCompromise', never);
    const [entry] = set.server.accounts.values();
    assert.deepEqual(set.server.revoked, [
      { by: entry?.account.url, reason: 'superseded' },
      { by: 'key', reason: 'keyCompromise' },
    ]);
  });

  test('without an account is signed by the key, and makes none', async (t) => {
    const set = await issuing(t);
    const bundle = await makeBundle();
    await (await set.open()).revoke(bundle, 'unspecified', never);
    assert.deepEqual(set.server.calls, ['revoke']);
  });

  test('of what is revoked already is done', async (t) => {
    const set = await issuing(t);
    set.server.hook = () => {
      throw refusal('alreadyRevoked', 400);
    };
    await (await set.open()).revoke(await makeBundle(), 'unspecified', never);
  });

  test('that is refused says so in one line', async (t) => {
    const set = await issuing(t);
    set.server.hook = () => {
      throw refusal('badRevocationReason', 400, 'not that one');
    };
    const failure = await failureOf((await set.open()).revoke(await makeBundle(), 'superseded', never));
    assert.match(
      describeError(failure),
      /^fake did not revoke the certificate [0-9a-f]+: .*: the revocation: badRevocationReason \(400\): not that one/,
    );
  });
});
