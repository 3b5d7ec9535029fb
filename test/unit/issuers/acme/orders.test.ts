import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { spkiSha256 } from '../../../../src/certificate/bundle.ts';
import { DAY, MINUTE } from '../../../../src/platform/clock.ts';
import { issuing, NOW, wanted, type Issuing } from '../../../support/acme-issuing.ts';

const orderFile = ({ directory }: Issuing): string => join(directory, 'orders', 'default.json');

/** The calls since the last time. */
function calls({ server }: Issuing): string[] {
  return server.calls.splice(0);
}

describe('what an issuance asks of the server', () => {
  test('six requests with an account that is known, a nonce and the directory apart', async (t) => {
    const set = await issuing(t);
    await using issuer = await set.open();
    await issuer.issue(wanted(), { now: NOW });
    issuer.settled('default');
    calls(set);
    await issuer.issue(wanted(), { now: NOW });
    assert.deepEqual(calls(set), ['newOrder', 'authorization', 'answerChallenge', 'order', 'finalize', 'order', 'order', 'download']);
    set.server.processingLooks = 0;
    issuer.settled('default');
    await issuer.issue(wanted(), { now: NOW });
    assert.deepEqual(calls(set), ['newOrder', 'authorization', 'answerChallenge', 'order', 'finalize', 'download']);
  });

  test('one poll for all names, however many they are', async (t) => {
    const set = await issuing(t);
    await using issuer = await set.open();
    const names = Array.from({ length: 100 }, (_, index) => `host-${index}.example.org`);
    await issuer.issue(wanted(names), { now: NOW });
    const asked = calls(set);
    assert.equal(asked.filter((one) => one === 'order').length, 3);
    assert.equal(asked.filter((one) => one === 'answerChallenge').length, 100);
    assert.deepEqual(set.solver.standing, []);
  });

  test('the first look comes 25 ms after the challenge, then 250 ms doubling to 5 s', async (t) => {
    const set = await issuing(t);
    set.server.validationLooks = 8;
    await using issuer = await set.open();
    await issuer.issue(wanted(), { now: NOW });
    assert.deepEqual(set.clock.slept.slice(0, 7), [25, 250, 500, 1000, 2000, 4000, 5000]);
  });

  test("the server's Retry-After is obeyed from the second look on", async (t) => {
    const set = await issuing(t);
    set.server.retryAfter = 7000;
    set.server.validationLooks = 1;
    set.server.processingLooks = 1;
    await using issuer = await set.open();
    await issuer.issue(wanted(), { now: NOW });
    assert.deepEqual(set.clock.slept, [25, 7000, 7000, 7000]);
  });

  test('a server that always says it may be asked at once is not asked all the time', async (t) => {
    const set = await issuing(t);
    set.server.retryAfter = 0;
    set.server.processingLooks = 10;
    await using issuer = await set.open();
    await issuer.issue(wanted(), { now: NOW });
    assert.deepEqual(set.clock.slept.slice(1, 9), [25, 50, 100, 200, 400, 800, 1000, 1000]);
  });

  test('nothing at all when the profile is not on offer', async (t) => {
    const set = await issuing(t);
    await using issuer = await set.open({ profile: 'tlsserver' });
    await assert.rejects(issuer.issue(wanted(), { now: NOW }), {
      kind: 'configuration',
      scope: 'issuer',
      why: 'it does not offer the profile "tlsserver", but classic, shortlived',
      remedy: 'set issuers.fake.profile to one of those, or remove it',
    });
    assert.deepEqual(calls(set), []);
  });
});

describe('an order under way', () => {
  test('is kept with its key, for nobody else to read, until its certificate is published', async (t) => {
    const set = await issuing(t);
    await using issuer = await set.open({ profile: 'shortlived' });
    set.server.hook = (call, done) => {
      if (call !== 'newOrder' || done) return;
      const { key, url } = JSON.parse(readFileSync(orderFile(set), 'utf8')) as { key: string; url?: string };
      assert.match(key, /BEGIN PRIVATE KEY/);
      assert.equal(url, undefined);
    };
    const bundle = await issuer.issue(wanted(), { now: NOW });
    assert.equal(statSync(orderFile(set)).mode & 0o777, 0o600);
    const kept = JSON.parse(readFileSync(orderFile(set), 'utf8')) as Record<string, string>;
    assert.equal(kept['key'], bundle.privateKeyPem);
    assert.equal(kept['url'], [...set.server.orders.keys()][0]);
    assert.equal(kept['profile'], 'shortlived');
    issuer.settled('default');
    assert.equal(existsSync(orderFile(set)), false);
    issuer.settled('default');
  });

  test('is continued from any moment of a kill: one account, one certificate, no key lost', async (t) => {
    const first = await issuing(t);
    await (await first.open()).issue(wanted(['a.example.org', 'b.example.org']), { now: NOW });
    const moments = calls(first);
    assert.ok(moments.length >= 10);
    for (const [index, moment] of moments.entries()) {
      for (const heard of [false, true]) {
        const set = await issuing(t);
        let left = index;
        set.server.hook = (_, done) => {
          if (done === heard && left-- === 0) throw new Error('killed');
        };
        const spec = wanted(['a.example.org', 'b.example.org']);
        const where = `killed ${heard ? 'after' : 'before'} call ${index + 1}, ${moment}`;
        await assert.rejects((await set.open()).issue(spec, { now: NOW }), /killed/, where);
        const bundle = await (await set.open()).issue(spec, { now: NOW });
        assert.equal(set.server.accounts.size, 1, where);
        assert.equal(set.server.issued.length, 1, where);
        assert.equal(bundle.leafPem, set.server.issued[0], where);
        assert.deepEqual(set.solver.standing, [], where);
        assert.ok(set.server.orders.size <= 2, where);
        assert.doesNotMatch(set.logged.join('\n'), /PRIVATE KEY/, where);
        assert.equal(set.uses.filter((use) => use === 'account').length, 1, where);
      }
    }
  });

  test('that the server may never have seen is made with the key that is kept', async (t) => {
    const set = await issuing(t);
    set.server.hook = (call, done) => {
      if (call === 'newOrder' && !done) throw new Error('killed');
    };
    await assert.rejects((await set.open()).issue(wanted(), { now: NOW }), /killed/);
    const { key } = JSON.parse(readFileSync(orderFile(set), 'utf8')) as { key: string };
    set.server.hook = () => undefined;
    assert.equal((await (await set.open()).issue(wanted(), { now: NOW })).privateKeyPem, key);
  });

  test('is said to be under way from the moment that the server has taken it until its certificate is published', async (t) => {
    const set = await issuing(t);
    await using issuer = await set.open();
    assert.equal(issuer.isUnderWay(wanted(), undefined), false);
    const { leaf } = await issuer.issue(wanted(), { now: NOW });
    assert.equal(issuer.isUnderWay(wanted(), undefined), true);
    assert.equal(issuer.isUnderWay(wanted(['other.example.org']), undefined), false);
    assert.equal(issuer.isUnderWay(wanted(), leaf), false);
    writeFileSync(orderFile(set), '{');
    assert.equal(issuer.isUnderWay(wanted(), undefined), false);
    issuer.settled('default');
    assert.equal(issuer.isUnderWay(wanted(), undefined), false);
  });

  test('is forgotten with its key by the run after one that was killed between publishing and forgetting', async (t) => {
    const set = await issuing(t);
    await using issuer = await set.open();
    const { leaf } = await issuer.issue(wanted(), { now: NOW });
    const kept = readFileSync(orderFile(set), 'utf8');
    issuer.settled('default');
    const { leaf: other } = await issuer.issue(wanted(), { now: NOW });
    issuer.settledBefore('default', leaf);
    assert.ok(existsSync(orderFile(set)), 'the order of another certificate stays');
    writeFileSync(orderFile(set), kept);
    issuer.settledBefore('default', other);
    assert.ok(existsSync(orderFile(set)));
    issuer.settledBefore('default', leaf);
    assert.ok(!existsSync(orderFile(set)));
  });

  test('gives the same certificate again while it is not published', async (t) => {
    const set = await issuing(t);
    const one = await (await set.open()).issue(wanted(), { now: NOW });
    const two = await (await set.open()).issue(wanted(), { now: NOW });
    const three = await (await set.open()).issue(wanted(), { now: NOW });
    assert.equal(one.leafPem, two.leafPem);
    assert.equal(one.leafPem, three.leafPem);
    assert.equal(set.server.issued.length, 1);
    assert.equal(
      set.uses.filter((use) => use.startsWith('duplicate')).length,
      2,
      'counted once more at most: it may have been killed before',
    );
  });

  for (const [what, change, config] of [
    ['other names', { identifiers: wanted(['b.example.org']).identifiers }, {}],
    ['another key type', { keyType: 'ecdsa-p384' }, {}],
    ['another profile', {}, { profile: 'classic' }],
    ['another server', {}, { directory: 'https://other.test/directory' }],
  ] as const) {
    test(`is of no use for ${what}: a new key and a new order`, async (t) => {
      const set = await issuing(t);
      const one = await (await set.open()).issue(wanted(), { now: NOW });
      calls(set);
      const two = await (await set.open(config)).issue(wanted(undefined, change), { now: NOW });
      const asked = calls(set);
      assert.ok(!asked.slice(0, asked.indexOf('newOrder')).includes('order'), 'the server is not asked about it');
      assert.notEqual(spkiSha256(one.leaf), spkiSha256(two.leaf));
      assert.equal(set.server.orders.size, 2);
    });
  }

  test('fits also when the names are configured in another order', async (t) => {
    const set = await issuing(t);
    const one = await (await set.open()).issue(wanted(['a.example.org', 'b.example.org']), { now: NOW });
    const two = await (await set.open()).issue(wanted(['b.example.org', 'a.example.org']), { now: NOW });
    assert.equal(one.leafPem, two.leafPem);
  });

  test('whose certificate is published, which is too old, or which the server has lost, is given up', async (t) => {
    const set = await issuing(t);
    const { leaf } = await (await set.open()).issue(wanted(), { now: NOW });
    await (await set.open()).issue(wanted(), { now: NOW, replaces: { leaf, inWindow: true } });
    assert.equal(set.server.issued.length, 2, 'published');
    set.clock.time += 8 * DAY;
    await (await set.open()).issue(wanted(), { now: NOW });
    assert.equal(set.server.issued.length, 3, 'too old');
    set.server.orders.clear();
    await (await set.open()).issue(wanted(), { now: NOW });
    assert.equal(set.server.issued.length, 4, 'lost');
    set.server.invalidate([...set.server.orders.keys()][0] ?? '');
    await (await set.open()).issue(wanted(), { now: NOW });
    assert.equal(set.server.issued.length, 5, 'invalid');
  });

  test('whose certificate has ended meanwhile is given up', async (t) => {
    const set = await issuing(t);
    set.server.validity = { from: -MINUTE, to: 10 * MINUTE };
    await (await set.open()).issue(wanted(), { now: NOW });
    set.clock.time += 11 * MINUTE;
    await (await set.open()).issue(wanted(), { now: NOW });
    assert.equal(set.server.issued.length, 2);
  });

  test('whose file is damaged is set aside with a warning', async (t) => {
    for (const text of ['', '{', '{"version":1}', '[]', 'null', '{"version":1,"key":"-----BEGIN PRIVATE KEY-----\\nAAAA"}']) {
      const set = await issuing(t);
      await (await set.open()).issue(wanted(), { now: NOW });
      writeFileSync(orderFile(set), text);
      await (await set.open()).issue(wanted(), { now: NOW });
      assert.match(set.logged.join('\n'), /warn: the file of an order under way is damaged; it was set aside/);
      assert.equal(readdirSync(join(set.directory, 'orders')).filter((name) => name.startsWith('default.json.damaged-')).length, 1);
    }
  });

  test('that the server does not finish is asked about again at the next try, with no new order', async (t) => {
    const set = await issuing(t);
    set.server.processingLooks = 1e6;
    await assert.rejects((await set.open()).issue(wanted(), { now: NOW }), { kind: 'server', why: /the CA has not signed/ });
    assert.ok(set.clock.time - NOW <= 10 * MINUTE, 'no longer than the patience');
    const [held] = set.server.orders.values();
    if (held !== undefined) held.processing = 0;
    await (await set.open()).issue(wanted(), { now: NOW });
    assert.equal(set.server.orders.size, 1);
  });

  test('asked to wait for longer than one try lasts, says until when', async (t) => {
    const set = await issuing(t);
    set.server.retryAfter = 60 * MINUTE;
    await assert.rejects((await set.open()).issue(wanted(), { now: NOW }), (error: { kind: string; retryAt: number }) => {
      assert.equal(error.kind, 'server');
      assert.equal(error.retryAt, set.clock.time + 60 * MINUTE);
      return true;
    });
  });

  test('that is given up by a signal leaves nothing in place and can be continued', async (t) => {
    const set = await issuing(t);
    const controller = new AbortController();
    set.server.hook = (call, done) => {
      if (call === 'answerChallenge' && done) controller.abort(new Error('stopped'));
    };
    await assert.rejects((await set.open()).issue(wanted(), { now: NOW, signal: controller.signal }), /stopped/);
    assert.deepEqual(set.solver.standing, []);
    set.server.hook = () => undefined;
    await (await set.open()).issue(wanted(), { now: NOW });
    assert.equal(set.server.orders.size, 1);
  });
});
