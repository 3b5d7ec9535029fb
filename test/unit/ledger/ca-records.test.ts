import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import type { Advice } from '../../../src/certificate/advice.ts';
import type { Use } from '../../../src/certificate/rate-limits.ts';
import type { Ledger } from '../../../src/ledger/ledger.ts';
import { openLedger } from '../../../src/ledger/open.ts';
import { DAY, HOUR } from '../../../src/platform/clock.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const NOW = Date.parse('2026-11-23T00:00:00Z');

const advice: Advice = {
  certificateId: 'aki.serial',
  window: { start: NOW + DAY, end: NOW + 2 * DAY },
  chosen: NOW + 1.5 * DAY,
  explanationUrl: 'https://ca.example/why',
  nextAsk: NOW + 6 * HOUR,
  failures: 2,
};
const unasked: Advice = { ...advice, window: undefined, chosen: undefined, explanationUrl: undefined, failures: 0 };

const order: Use = { issuer: 'ca', kind: 'order', subject: '', at: NOW };

/** Writes with one process and reads with the next. */
function afterRestart(t: TestContext, write: (ledger: Ledger) => void): Ledger {
  const file = join(scratchDirectory(t), 'ledger.sqlite');
  {
    using ledger = openLedger(file, NOW).ledger;
    write(ledger);
  }
  const { ledger } = openLedger(file, NOW);
  t.after(() => ledger.close());
  return ledger;
}

describe('what is known of a CA after a restart', () => {
  test('its advice, with the time that was chosen', (t) => {
    const ledger = afterRestart(t, (one) => one.keepAdvice('default', advice));
    assert.deepEqual(ledger.advice('default'), advice);
    assert.equal(ledger.advice('other'), undefined);
    ledger.keepAdvice('default', unasked);
    assert.deepEqual(ledger.advice('default'), unasked);
    ledger.clearAdvice('default');
    assert.equal(ledger.advice('default'), undefined);
  });

  test('every use, also several at the same instant', (t) => {
    const ledger = afterRestart(t, (one) => {
      for (const at of [NOW + 1, NOW, NOW, NOW, NOW - DAY]) one.recordUse({ ...order, at });
      one.recordUse({ issuer: 'ca', kind: 'failure', subject: 'a.example.org', at: NOW });
      one.recordUse({ ...order, issuer: 'other' });
    });
    assert.deepEqual(
      ledger.uses('ca', NOW).map(({ kind, at }) => [kind, at - NOW]),
      [
        ['failure', 0],
        ['order', 0],
        ['order', 0],
        ['order', 0],
        ['order', 1],
      ],
    );
    assert.equal(ledger.uses('ca', 0).length, 6);
    assert.equal(ledger.uses('ca', 0)[5]?.subject, '');
  });

  test('a use is forgotten when it counts no longer', (t) => {
    const ledger = afterRestart(t, (one) => {
      for (const at of [NOW - DAY, NOW - 1, NOW]) one.recordUse({ ...order, at });
    });
    ledger.forgetUsesBefore(NOW - 1);
    assert.deepEqual(
      ledger.uses('ca', 0).map(({ at }) => at - NOW),
      [-1, 0],
    );
  });

  test('that it wants no orders, why, and where a person can end it', (t) => {
    const ledger = afterRestart(t, (one) => {
      one.keepHold({ issuer: 'b', until: NOW + HOUR, why: 'x' });
      one.keepHold({ issuer: 'b', until: NOW + DAY + 0.4, why: 'too many orders', link: 'https://ca.example/unpause' });
      one.keepHold({ issuer: 'a', until: NOW, why: 'y' });
    });
    assert.deepEqual(ledger.hold('b'), { issuer: 'b', until: NOW + DAY, why: 'too many orders', link: 'https://ca.example/unpause' });
    assert.deepEqual(
      ledger.holds().map(({ issuer, link }) => [issuer, link]),
      [
        ['a', undefined],
        ['b', 'https://ca.example/unpause'],
      ],
    );
    ledger.clearHold('b');
    assert.equal(ledger.hold('b'), undefined);
    assert.equal(ledger.holds().length, 1);
  });

  test('that a certificate is revoked, since when and why', (t) => {
    const revocation = { leafSha256: 'ab', certificate: 'default', at: NOW, reason: 'keyCompromise' };
    const ledger = afterRestart(t, (one) => {
      one.keepRevocation(revocation);
      one.keepRevocation({ ...revocation, at: NOW + DAY, reason: 'superseded' });
    });
    assert.deepEqual({ ...ledger.revocation('ab') }, revocation);
    assert.equal(ledger.revocation('cd'), undefined);
  });

  test('why the last try failed, at whom, and where a person can end it', (t) => {
    const failure = { count: 2, at: NOW, retryAt: NOW + DAY, message: 'paused', kind: 'paused', issuer: 'ca', link: 'https://u' } as const;
    const ledger = afterRestart(t, (one) => {
      one.keepFailure('default', failure);
      one.keepFailure('plain', { count: 1, at: NOW, retryAt: NOW + DAY, message: 'no' });
    });
    assert.deepEqual(ledger.failure('default'), failure);
    assert.deepEqual([ledger.failure('plain')?.kind, ledger.failure('plain')?.link], [undefined, undefined]);
  });
});

test('a certificate that is no longer configured takes its advice with it, but not what the CA goes on counting', (t) => {
  const ledger = afterRestart(t, (one) => {
    one.keepAdvice('gone', advice);
    one.keepAdvice('stays', advice);
    one.keepFailure('gone', { count: 1, at: NOW, retryAt: NOW, message: 'no' });
    one.recordUse({ issuer: 'ca', kind: 'duplicate', subject: 'gone.example.org', at: NOW });
    one.keepRevocation({ leafSha256: 'ab', certificate: 'gone', at: NOW, reason: 'superseded' });
  });
  ledger.retainOnly(new Set(['stays']));
  assert.deepEqual([ledger.advice('gone'), ledger.failure('gone')], [undefined, undefined]);
  assert.deepEqual(ledger.advice('stays'), advice);
  assert.equal(ledger.uses('ca', 0).length, 1);
  assert.equal(ledger.revocation('ab')?.reason, 'superseded');
});
