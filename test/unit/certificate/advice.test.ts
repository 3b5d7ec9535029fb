import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { takeAdvice, type Advice, type AdviceAnswer } from '../../../src/certificate/advice.ts';
import { parseIdentifier } from '../../../src/certificate/identifier.ts';
import { decide, emergencyLine, type Published } from '../../../src/certificate/renewal.ts';
import type { CertificateSpec } from '../../../src/certificate/spec.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../../src/platform/clock.ts';
import { randomStream, scaled } from '../../support/scale.ts';

const NOW = Date.parse('2026-11-23T00:00:00Z');
const WINDOW = { start: NOW + 50 * DAY, end: NOW + 52 * DAY };

function info(changes: Partial<Extract<AdviceAnswer, { kind: 'info' }>> = {}): AdviceAnswer {
  return { kind: 'info', ...WINDOW, explanationUrl: undefined, retryAfter: 6 * HOUR, ...changes };
}

function take(answer: AdviceAnswer, changes: { previous?: Advice; certificateId?: string; now?: number; random?: number } = {}): Advice {
  return takeAdvice({ previous: undefined, certificateId: 'a.b', answer, now: NOW, random: 0.25, ...changes });
}

describe('the time chosen from the advice of a CA', () => {
  test('lies anywhere in the window, as chance has it', () => {
    assert.equal(take(info(), { random: 0 }).chosen, WINDOW.start);
    assert.equal(take(info(), { random: 0.25 }).chosen, NOW + 50.5 * DAY);
    assert.ok((take(info(), { random: 1 - Number.EPSILON }).chosen ?? 0) <= WINDOW.end);
  });

  test('stays while the window does, however often the CA is asked', () => {
    const first = take(info(), { random: 0.7 });
    const second = take(info({ explanationUrl: 'https://ca.example/why' }), { previous: first, random: 0.1, now: NOW + DAY });
    assert.equal(second.chosen, first.chosen);
    assert.deepEqual([second.explanationUrl, second.nextAsk], ['https://ca.example/why', NOW + DAY + 6 * HOUR]);
  });

  test('is drawn anew when either end of the window moves', () => {
    const first = take(info(), { random: 0.7 });
    for (const moved of [{ start: WINDOW.start + 1 }, { end: WINDOW.end - 1 }]) {
      assert.notEqual(take(info(moved), { previous: first, random: 0.1 }).chosen, first.chosen);
    }
  });

  test('may be past: a window that is over means now', () => {
    const revoked = take(info({ start: NOW - 2 * DAY, end: NOW - DAY }));
    assert.ok(revoked.chosen !== undefined && revoked.chosen < NOW);
  });

  test('is not carried over to another certificate', () => {
    const first = take(info(), { random: 0.7 });
    const failed = take({ kind: 'failed' }, { previous: { ...first, failures: 7 }, certificateId: 'c.d' });
    assert.deepEqual([failed.certificateId, failed.window, failed.chosen, failed.failures], ['c.d', undefined, undefined, 1]);
    assert.equal(take(info(), { previous: first, certificateId: 'c.d', random: 0.1 }).chosen, NOW + 50.2 * DAY);
  });
});

describe('when the CA is asked again', () => {
  test('as Retry-After says, between a minute and a day, and after six hours without one', () => {
    const delays = [0, 1, MINUTE, 6 * HOUR, DAY, 30 * DAY, Infinity, -5, undefined, Number.NaN].map(
      (retryAfter) => take(info({ retryAfter })).nextAsk - NOW,
    );
    assert.deepEqual(delays, [MINUTE, MINUTE, MINUTE, 6 * HOUR, DAY, DAY, DAY, MINUTE, 6 * HOUR, 6 * HOUR]);
  });

  test('after six hours where the answer is of no use, which takes nothing back', () => {
    const first = take(info(), { random: 0.7 });
    const useless: AdviceAnswer[] = [
      { kind: 'unusable' },
      info({ start: WINDOW.end, end: WINDOW.start }),
      info({ end: WINDOW.start }),
      info({ start: Number.NaN }),
      info({ end: Infinity }),
    ];
    for (const answer of useless) {
      const later = take(answer, { previous: first, now: NOW + DAY });
      assert.deepEqual([later.window, later.chosen, later.nextAsk], [WINDOW, first.chosen, NOW + DAY + 6 * HOUR]);
      assert.deepEqual([take(answer).window, take(answer).chosen], [undefined, undefined]);
    }
  });

  test('soon, then ever later up to six hours while the CA is down, and as usual once it is back', () => {
    let advice = take(info());
    const delays: number[] = [];
    for (let count = 0; count < 2000; count += 1) {
      advice = take({ kind: 'failed' }, { previous: advice, random: 0 });
      delays.push((advice.nextAsk - NOW) / MINUTE);
    }
    assert.deepEqual(delays.slice(0, 10), [1, 2, 4, 8, 16, 32, 64, 128, 256, 360]);
    assert.equal(delays.at(-1), 360);
    assert.deepEqual([advice.window, advice.failures], [WINDOW, 2000]);
    assert.equal(take(info(), { previous: advice }).failures, 0);
    assert.equal(take({ kind: 'unusable' }, { previous: advice }).failures, 0);
  });

  test('not in the same second by all that failed together', () => {
    assert.notEqual(take({ kind: 'failed' }, { random: 0.1 }).nextAsk, take({ kind: 'failed' }, { random: 0.9 }).nextAsk);
  });
});

const SPEC: CertificateSpec = {
  name: 'default',
  identifiers: [parseIdentifier('lab.example.org')],
  keyType: 'ecdsa-p256',
  issuers: ['letsencrypt'],
  lifetime: 90 * DAY,
  renewBefore: 7 * DAY,
  consumers: [],
};

function certificate(lifetime: number): Published {
  return {
    generation: 1,
    issuer: 'letsencrypt',
    origin: 'issued',
    placeholder: false,
    keyType: 'ecdsa-p256',
    identifiers: SPEC.identifiers,
    notBefore: NOW,
    notAfter: NOW + lifetime,
  };
}

/** Runs the wait, ask and decide of a resident service until it renews; the CA answers with `answerAt`. @returns when */
function renewedAt(published: Published, answerAt: (now: number) => AdviceAnswer, random: () => number): { at: number; asked: number[] } {
  let now = published.notBefore;
  let advice: Advice | undefined;
  const asked: number[] = [];
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (advice === undefined || advice.nextAsk <= now) {
      advice = takeAdvice({ previous: advice, certificateId: 'a.b', answer: answerAt(now), now, random: random() });
      asked.push(now);
    }
    const current = { state: 'published' as const, ...published };
    const decision = decide({ spec: SPEC, current, kept: [], retryAt: undefined, clockBehind: false, force: false, now, advice });
    if (decision.action === 'issue') return { at: now, asked };
    assert.equal(decision.action, 'keep');
    assert.ok(decision.nextLook > now, 'it does not turn on the spot');
    now = decision.nextLook;
  }
  throw new Error('it was never renewed');
}

describe('a narrow window is met', () => {
  // Boulder: 1 % of the lifetime to either side of half of it.
  for (const lifetime of [160 * HOUR, 6 * HOUR, 10 * MINUTE]) {
    for (const retryAfter of [SECOND, 6 * HOUR, DAY, 30 * DAY, undefined]) {
      test(`of a certificate of ${lifetime / MINUTE} min, with Retry-After ${retryAfter}`, () => {
        const random = randomStream('narrow windows');
        const start = Math.round(NOW + lifetime * 0.49);
        const end = Math.round(NOW + lifetime * 0.51);
        for (let round = 0; round < scaled(200); round += 1) {
          const { at } = renewedAt(certificate(lifetime), () => info({ start, end, retryAfter }), random);
          assert.ok(at >= start && at <= end, `${(at - NOW) / lifetime} of the lifetime`);
        }
      });
    }
  }

  test('also when the CA moves it closer: from the next answer on', () => {
    const random = randomStream('moved windows');
    const published = certificate(90 * DAY);
    const moveAt = NOW + 10 * DAY;
    const { at, asked } = renewedAt(
      published,
      (now) => (now < moveAt ? info() : info({ start: moveAt - DAY, end: moveAt - DAY + HOUR })),
      random,
    );
    assert.ok(at >= moveAt && at <= moveAt + 6 * HOUR, 'within one Retry-After of the change');
    assert.ok(asked.length >= 40, 'it went on asking');
  });

  test('and a window past the emergency line is not waited for', () => {
    const published = certificate(90 * DAY);
    const late = info({ start: published.notAfter - DAY, end: published.notAfter + DAY });
    const { at } = renewedAt(published, () => late, randomStream('late windows'));
    assert.equal(at, emergencyLine(SPEC, published));
  });
});
