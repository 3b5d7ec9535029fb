import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { retryTime } from '../../../src/certificate/backoff.ts';
import { fallsBack, type FailureKind } from '../../../src/certificate/fallback.ts';
import { parseIdentifier } from '../../../src/certificate/identifier.ts';
import { decide, emergencyLine, lookBy, PLACEHOLDER_LIFETIME, type Current, type Held } from '../../../src/certificate/renewal.ts';
import { isLocalIssuer, type CertificateSpec } from '../../../src/certificate/spec.ts';
import { DAY, HOUR, MINUTE } from '../../../src/platform/clock.ts';
import { randomStream, scaled } from '../../support/scale.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
const IDENTIFIERS = [parseIdentifier('lab.example.org')];
const KINDS: readonly FailureKind[] = ['unreachable', 'server', 'rate-limited', 'paused', 'challenge', 'configuration'];

interface Failing {
  readonly kind: FailureKind;
  readonly retryAfter?: number;
  /** All orders of the issuer wait. */
  readonly holds?: boolean;
}

type Answer = 'issued' | Failing;

interface World {
  readonly issuers: readonly string[];
  readonly first: Current;
  /** What an ACME server does with an order. */
  readonly answer: (issuer: string, now: number) => Answer;
  readonly random: () => number;
  readonly days: number;
}

interface History {
  /** What was published, from when on; the first is what was there. */
  readonly published: { at: number; current: Current; why: string }[];
  readonly orders: { at: number; issuer: string }[];
  readonly looks: number[];
}

function certificate(issuer: string, notBefore: number, lifetime: number, placeholder = false): Current {
  const about = { generation: 1, issuer, origin: 'issued', placeholder, keyType: 'ecdsa-p256', identifiers: IDENTIFIERS } as const;
  return { state: 'published', ...about, notBefore, notAfter: notBefore + lifetime };
}

function specFor(issuers: readonly string[]): CertificateSpec {
  return {
    name: 'default',
    identifiers: IDENTIFIERS,
    keyType: 'ecdsa-p256',
    issuers,
    lifetime: 90 * DAY,
    renewBefore: 7 * DAY,
    consumers: [],
  };
}

/** A service that does what the decision says and nothing else, and looks again when it says so and not before. */
function live({ issuers, first, answer, random, days }: World): History {
  const spec = specFor(issuers);
  let current = first;
  let failure: { count: number; at: number; retryAt: number } | undefined;
  const held = new Map<string, Held>();
  const history: History = { published: [{ at: START, current, why: 'first' }], orders: [], looks: [] };
  let now = START;

  const publish = (next: Current, why: string): void => {
    current = next;
    history.published.push({ at: now, current, why });
  };
  /** @returns when to look again */
  const order = (allowed: readonly string[]): number => {
    const nothingServed = current.state !== 'published' || current.notAfter <= now;
    const count = (failure?.count ?? 0) + 1;
    let last: Failing = { kind: 'server' };
    for (const issuer of allowed) {
      history.orders.push({ at: now, issuer });
      const given: Answer = isLocalIssuer(issuer) ? 'issued' : answer(issuer, now);
      if (given === 'issued') {
        failure = undefined;
        publish(certificate(issuer, now, 90 * DAY), issuer);
        return now + 1;
      }
      last = given;
      if (last.holds === true) held.set(issuer, { until: now + (last.retryAfter ?? HOUR), why: 'it said so' });
      if (!fallsBack(last.kind, count, nothingServed)) break;
    }
    const { kind, retryAfter } = last;
    const notAfter = current.state === 'published' && !current.placeholder ? current.notAfter : undefined;
    const imposed = retryAfter === undefined ? undefined : now + retryAfter;
    const retryAt = retryTime({ count, at: now, notAfter, kind, retryAt: imposed }, random());
    failure = { count, at: now, retryAt };
    return Math.min(retryAt, lookBy(spec, current, now));
  };

  while (now < START + days * DAY) {
    history.looks.push(now);
    const situation = { spec, current, kept: [], retryAt: failure?.retryAt, failedAt: failure?.at, held, clockBehind: false, force: false };
    const decision = decide({ ...situation, now });
    if (decision.placeholder === true) publish(certificate('local-ca', now, PLACEHOLDER_LIFETIME, true), 'placeholder');
    const next = decision.action === 'issue' ? order(decision.issuers) : decision.nextLook;
    assert.ok(next > now, `${decision.action} ${decision.reason} at ${(now - START) / DAY} days turns on the spot`);
    now = next;
  }
  return history;
}

/** At every instant from the first look on: also between the looks. */
function assertAlwaysServed({ published }: History, until: number): void {
  const [, ...switches] = published;
  const spans = published.map(({ current, at }, index) => ({ current, from: at, to: published[index + 1]?.at ?? until }));
  for (const { current, from, to } of spans.filter((span) => span.to > span.from)) {
    assert.ok(current.state === 'published', `nothing was published at ${(from - START) / DAY} days`);
    assert.ok(current.notBefore <= from && to <= current.notAfter, `it expired ${(to - current.notAfter) / HOUR} h before the next`);
    if (current.placeholder) assert.ok(to - current.notBefore <= PLACEHOLDER_LIFETIME / 2, 'a placeholder was not renewed at its half');
  }
  assert.ok(switches.length > 0);
}

/** DESIGN §6: what an ACME server signed is only replaced by something less past its emergency line. */
function assertNoDowngrade({ published }: History, issuers: readonly string[]): void {
  for (const [index, { current: next, at }] of published.entries()) {
    const before = published[index - 1]?.current;
    if (before?.state !== 'published' || before.placeholder || next.state !== 'published') continue;
    const worse = next.placeholder || (issuers.includes(before.issuer) && issuers.indexOf(next.issuer) > issuers.indexOf(before.issuer));
    if (!worse) continue;
    assert.ok(at >= emergencyLine(specFor(issuers), before), `${before.issuer} gave way to ${next.issuer} too early`);
    if (next.placeholder) assert.ok(at >= before.notAfter, 'a placeholder replaced something that was still valid');
  }
}

describe('while the CA fails for 60 days, something valid is published at every instant', () => {
  const starts: readonly [string, Current][] = [
    ['nothing', { state: 'absent' }],
    ['a damaged certificate', { state: 'damaged', why: 'cert.pem is empty' }],
    ['one about to be renewed', certificate('letsencrypt', START - 59 * DAY, 90 * DAY)],
    ['one past its emergency line', certificate('letsencrypt', START - 85 * DAY, 90 * DAY)],
    ['one that has expired', certificate('letsencrypt', START - 91 * DAY, 90 * DAY)],
    ['a short-lived one', certificate('letsencrypt', START, 160 * HOUR)],
    ['one of minutes', certificate('letsencrypt', START, 10 * MINUTE)],
    ['an old placeholder', certificate('local-ca', START - 6 * DAY, PLACEHOLDER_LIFETIME, true)],
    ['one of the built-in CA, from before', certificate('local-ca', START - 60 * DAY, 90 * DAY)],
  ];
  const failing: readonly [string, Failing][] = [
    ['is not to be reached', { kind: 'unreachable' }],
    ['answers with 429 and a month', { kind: 'rate-limited', retryAfter: 30 * DAY }],
    ['takes no orders at all for a month', { kind: 'rate-limited', retryAfter: 30 * DAY, holds: true }],
    ['has paused the name', { kind: 'paused' }],
    ['does not reach us', { kind: 'challenge' }],
  ];
  for (const [start, first] of starts) {
    for (const [way, answer] of failing) {
      test(`from ${start}, with a CA that ${way}`, () => {
        const random = randomStream(`${start}, ${way}`);
        for (let round = 0; round < scaled(50); round += 1) {
          const history = live({ issuers: ['letsencrypt'], first, answer: () => answer, random, days: 60 });
          assertAlwaysServed(history, START + 60 * DAY);
          assertNoDowngrade(history, ['letsencrypt']);
        }
      });
    }
  }
});

test('a CA that fails for good is asked as often as the back-off allows, and no look is in vain', () => {
  const first: Current = { state: 'absent' };
  const history = live({ issuers: ['letsencrypt'], first, answer: () => ({ kind: 'unreachable' }), random: () => 0, days: 60 });
  assert.ok(history.orders.length <= 4 + 60, `${history.orders.length} orders`);
  assert.ok(history.looks.length <= history.orders.length + 2 * (60 / 3.5), `${history.looks.length} looks`);
});

test('the real certificate takes the place of the placeholder at the first try that the CA lets succeed', () => {
  const back = START + 20 * DAY;
  const answer = (_: string, now: number): Answer => (now < back ? { kind: 'server' } : 'issued');
  const history = live({ issuers: ['letsencrypt'], first: { state: 'absent' }, answer, random: () => 0.5, days: 40 });
  assertAlwaysServed(history, START + 40 * DAY);
  const last = history.published.at(-1);
  assert.equal(last?.why, 'letsencrypt');
  assert.ok(last.at >= back && last.at <= back + 1.2 * DAY);
});

test('whatever CAs do and in whatever order they are listed, something valid is served and nothing better gives way', () => {
  const random = randomStream('any CA');
  const lists = [['letsencrypt'], ['letsencrypt', 'house'], ['letsencrypt', 'local-ca'], ['house', 'letsencrypt', 'local-ca']];
  for (let round = 0; round < scaled(1000); round += 1) {
    const issuers = lists[Math.floor(random() * lists.length)] ?? [];
    const lifetime = random() < 0.5 ? 90 * DAY : 160 * HOUR;
    const first: Current =
      random() < 0.3
        ? { state: 'absent' }
        : certificate(random() < 0.8 ? 'letsencrypt' : 'local-ca', START - random() * lifetime, lifetime);
    const reliability = random();
    const answer = (): Answer => {
      if (random() < reliability) return 'issued';
      const kind = KINDS[Math.floor(random() * KINDS.length)] ?? 'server';
      if (kind !== 'rate-limited') return { kind };
      return { kind, retryAfter: random() * 30 * DAY, holds: random() < 0.5 };
    };
    const history = live({ issuers, first, answer, random, days: 200 });
    assertAlwaysServed(history, START + 200 * DAY);
    assertNoDowngrade(history, issuers);
  }
});
