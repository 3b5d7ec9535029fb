import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CASES } from '../support/acme-fault-cases.ts';
import { problem } from '../support/acme-faults.ts';
import { ground, linkOf, machine, ordersMade, words } from '../support/acme-ground.ts';
import type { AcmeLab } from '../support/acme-lab.ts';
import type { Finished } from '../support/command.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';

/** An answer travels, and a date has whole seconds. */
const SLACK = 10_000;

test('each fault of a server is told for what it is, waits as long as it should, and leaves what is published as it was', async (t) => {
  const place = await ground(t);
  const { proxy } = place;
  for (const one of CASES) {
    await t.test(one.what, async (sub) => {
      const attempt = async (): Promise<{ lab: AcmeLab; before: string; result: Finished }> => {
        const lab = await machine(sub, place);
        const before = linkOf(lab);
        for (const rule of one.rules(proxy, scratchDirectory(sub))) proxy.fault(rule);
        return { lab, before, result: await lab.certificates('renew', ['--force']) };
      };
      let { lab, before, result } = await attempt();
      // Pebble reuses one authorization in a hundred even when told to reuse none: then their faults are not met.
      while (result.code === 0 && proxy.count('authorization') === 0) ({ lab, before, result } = await attempt());
      assert.equal(result.code, 1, words(result, proxy));
      assertOneLine(result, one.says);
      const failure = lab.ledger((ledger) => ledger.failure('default'));
      assert.ok(failure !== undefined, 'the ledger has the failure');
      assert.equal(failure.kind, one.kind, failure.message);
      const wait = failure.retryAt - failure.at;
      const [atLeast, atMost] = one.wait;
      assert.ok(
        wait >= atLeast - SLACK && wait <= atMost + SLACK,
        `tried again after ${wait / 1000} s, not ${atLeast / 1000} to ${atMost / 1000}`,
      );
      const hold = lab.ledger((ledger) => ledger.hold('pebble'));
      if (one.holds === true) assert.ok(hold !== undefined && Math.abs(hold.until - failure.retryAt) < SLACK, `hold: ${hold?.until}`);
      assert.ok(ordersMade(proxy) <= 1, words(result, proxy));
      assert.ok(proxy.seen.length <= 45, `${proxy.seen.length} requests`);
      assert.equal(linkOf(lab), before, 'what is published is unchanged');
      assert.equal((await lab.certificates('check')).code, 0);

      const asked = proxy.seen.length;
      const early = await lab.certificates('renew');
      assert.equal(early.code, 0, words(early, proxy));
      assert.equal(proxy.seen.length, asked, 'nothing is asked before its time');

      proxy.clear();
      if (one.holds === true) return;
      const well = await lab.certificates('renew', ['--force']);
      assert.equal(well.code, 0, words(well, proxy));
      assert.notEqual(linkOf(lab), before);
      assert.equal(ordersMade(proxy), one.resumes === true ? 0 : 1, words(well, proxy));
      assert.equal(
        lab.ledger((ledger) => ledger.failure('default')),
        undefined,
      );
      assert.deepEqual(lab.ordersUnderWay(), []);
    });
  }
});

/** One line about the certificate: what, where, why; no stack, no key. */
function assertOneLine({ stdout, stderr }: Finished, says: RegExp): void {
  const lines = stderr.split('\n').filter((line) => line.includes('FAILED'));
  assert.equal(lines.length, 1, stdout + stderr);
  assert.match(lines[0] ?? '', says);
  assert.match(lines[0] ?? '', /^default: FAILED: pebble gave no certificate for default/);
  assert.doesNotMatch(stdout + stderr, /\n\s+at |PRIVATE KEY|\[object/);
}

test('a server that nobody can reach, and one whose certificate nobody vouches for, are told apart', async (t) => {
  const place = await ground(t);
  const { pebble, proxy } = place;
  const nobody = `https://127.0.0.1:${await freePort()}/dir`;
  for (const [what, server, says] of [
    ['refused', { directory: nobody, caFile: proxy.caFile }, /can be reached/],
    ['not trusted', { directory: proxy.directory, caFile: pebble.caFile }, /issuers\.pebble\.caFile/],
    ['without an address', { directory: 'https://no-such-host.invalid/dir', caFile: proxy.caFile }, /no-such-host\.invalid resolves/],
  ] as const) {
    await t.test(what, async (sub) => {
      const lab = await machine(sub, place, server);
      const before = linkOf(lab);
      const result = await lab.certificates('renew', ['--force']);
      assert.equal(result.code, 1, result.stdout);
      assertOneLine(result, says);
      assert.equal(lab.ledger((ledger) => ledger.failure('default'))?.kind, 'unreachable');
      assert.equal(linkOf(lab), before);
    });
  }
});

test('a server that does not agree that a certificate is replaced is asked once more without that, and only once', async (t) => {
  const place = await ground(t);
  const { proxy } = place;
  for (const [what, refusal, times, code] of [
    ['409 alreadyReplaced', problem(409, 'alreadyReplaced', 'cannot indicate a second replacement'), 1, 0],
    ['400 malformed', problem(400, 'malformed', 'replaces: no such certificate'), 1, 0],
    ['403 for a certificate of another account', problem(403, 'unauthorized', 'requester account did not request the certificate'), 1, 0],
    ['500 of a server that cannot look it up', problem(500, 'serverInternal', 'could not find an order for the given certificate'), 1, 0],
    ['409 for ever', problem(409, 'alreadyReplaced', 'cannot indicate a second replacement'), Infinity, 1],
  ] as const) {
    await t.test(what, async (sub) => {
      const lab = await machine(sub, place);
      proxy.fault({ on: 'newOrder', times, fault: refusal });
      const result = await lab.certificates('renew', ['--force']);
      assert.equal(result.code, code, words(result, proxy));
      const orders = proxy.seen.filter(({ kind, problem: type }) => kind === 'newOrder' && type !== 'badNonce');
      assert.deepEqual(
        orders.map(({ payload }) => payload !== undefined && 'replaces' in payload),
        [true, false],
        words(result, proxy),
      );
    });
  }
});
