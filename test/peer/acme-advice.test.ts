import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Rule } from '../support/acme-fault-proxy.ts';
import { changeJson, changeText, problem, raw } from '../support/acme-faults.ts';
import { ground, linkOf, machine, words } from '../support/acme-ground.ts';

const MINUTES = 60_000;
const HOURS = 60 * MINUTES;
/** The first of the delays that grow, up to a fifth more. */
const SOON = [1 * MINUTES, 1.2 * MINUTES] as const;
const SLACK = 10_000;

/** What renewalInfo answers, and when the CA is asked again after it, ms. */
const ADVICE: readonly (readonly [what: string, fault: Rule['fault'], again: readonly [number, number], window: boolean])[] = [
  ['an end before the start', advice({ start: '2026-12-24T00:00:00Z', end: '2026-12-23T00:00:00Z' }), [6 * HOURS, 6 * HOURS], false],
  ['an end at the start', advice({ start: '2026-12-24T00:00:00Z', end: '2026-12-24T00:00:00Z' }), [6 * HOURS, 6 * HOURS], false],
  ['no window', changeJson(() => ({ explanationURL: 'https://ca.test/why' })), [6 * HOURS, 6 * HOURS], false],
  ['a window without an end', advice({ start: '2026-12-24T00:00:00Z' }), [6 * HOURS, 6 * HOURS], false],
  ['times that are none', advice({ start: 'tomorrow', end: 'the day after' }), [6 * HOURS, 6 * HOURS], false],
  ['numbers for times', advice({ start: 1_798_070_400, end: 1_798_074_000 }), [6 * HOURS, 6 * HOURS], false],
  ['truncated JSON', changeText((body) => body.slice(0, 20)), [6 * HOURS, 6 * HOURS], false],
  ['an HTML page', raw(200, 'text/html', '<html>'), [6 * HOURS, 6 * HOURS], false],
  ['404', problem(404, 'malformed', 'no such certificate'), [6 * HOURS, 6 * HOURS], false],
  ['400', problem(400, 'malformed', 'bad certificate id'), [6 * HOURS, 6 * HOURS], false],
  ['500', problem(500, 'serverInternal', 'away'), SOON, false],
  ['503 with Retry-After', raw(503, 'text/html', 'busy', { 'retry-after': '60' }), SOON, false],
  ['an answer cut in mid-body', { do: 'cut' }, SOON, false],
  ['silence', { do: 'silence' }, SOON, false],
  ['no answer', { do: 'drop' }, [1 * MINUTES, 6 * HOURS], false],
  ['Retry-After of a second', retryAfter('1'), [1 * MINUTES, 1 * MINUTES], true],
  ['Retry-After of a hundred days', retryAfter('8640000'), [24 * HOURS, 24 * HOURS], true],
  ['a bad Retry-After', retryAfter('soon'), [6 * HOURS, 6 * HOURS], true],
  ['no Retry-After', retryAfter(undefined), [6 * HOURS, 6 * HOURS], true],
];

function advice(suggestedWindow: object): Rule['fault'] {
  return changeJson(() => ({ suggestedWindow }));
}

function retryAfter(value: string | undefined): Rule['fault'] {
  return { do: 'change', change: (reply) => ({ ...reply, headers: { ...reply.headers, 'retry-after': value } }) };
}

test('advice that is no use delays no certificate: it is published, and the CA asked again as RFC 9773 says', async (t) => {
  const place = await ground(t);
  const { proxy } = place;
  for (const [what, fault, [atLeast, atMost], window] of ADVICE) {
    await t.test(what, async (sub) => {
      const lab = await machine(sub, place);
      const before = linkOf(lab);
      proxy.fault({ on: 'renewalInfo', fault });
      const result = await lab.certificates('renew', ['--force']);
      assert.equal(result.code, 0, words(result, proxy));
      assert.notEqual(linkOf(lab), before);
      assert.ok(proxy.count('renewalInfo') >= 1, words(result, proxy));
      const kept = lab.ledger((ledger) => ledger.advice('default'));
      assert.ok(kept !== undefined, 'the ledger has when to ask again');
      const asked = proxy.seen.findLast(({ kind }) => kind === 'renewalInfo')?.at ?? 0;
      const again = kept.nextAsk - asked;
      const silent = fault.do === 'silence' ? 25_000 : 0;
      assert.ok(again >= atLeast - SLACK && again <= atMost + SLACK + silent, `asked again after ${again / 1000} s`);
      assert.equal(kept.window !== undefined, window);
      const outlook = lab.ledger((ledger) => ledger.outlook('default'));
      assert.ok(outlook !== undefined && outlook.nextLook > Date.now(), 'nothing is due at once');
    });
  }
});
