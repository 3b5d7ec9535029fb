import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { Advice } from '../../../src/certificate/advice.ts';
import { parseIdentifier } from '../../../src/certificate/identifier.ts';
import { decide, lookBy, PLACEHOLDER_LIFETIME, type Current, type Published, type Situation } from '../../../src/certificate/renewal.ts';
import type { CertificateSpec } from '../../../src/certificate/spec.ts';
import { DAY, HOUR, MINUTE } from '../../../src/platform/clock.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
/** Of a Let's Encrypt certificate of 90 days. */
const PLAN = START + 60 * DAY;
const LINE = START + 83 * DAY;

function spec(issuers: readonly string[] = ['letsencrypt']): CertificateSpec {
  return {
    name: 'default',
    identifiers: [parseIdentifier('lab.example.org')],
    keyType: 'ecdsa-p256',
    issuers,
    lifetime: 90 * DAY,
    renewBefore: 7 * DAY,
    consumers: [],
  };
}

const PUBLIC: Published = {
  generation: 4,
  issuer: 'letsencrypt',
  origin: 'issued',
  placeholder: false,
  keyType: 'ecdsa-p256',
  identifiers: [parseIdentifier('lab.example.org')],
  notBefore: START,
  notAfter: START + 90 * DAY,
};
const PLACEHOLDER: Published = { ...PUBLIC, issuer: 'local-ca', placeholder: true, notAfter: START + PLACEHOLDER_LIFETIME };
const EXPIRED = START + 91 * DAY;

function at(now: number, current: Current | Published, changes: Partial<Situation> = {}): ReturnType<typeof decide> {
  const seen: Current = 'state' in current ? current : { state: 'published', ...current };
  return decide({ spec: spec(), current: seen, kept: [], retryAt: undefined, clockBehind: false, force: false, now, ...changes });
}

function advice(changes: Partial<Advice> = {}): Advice {
  return {
    certificateId: 'a.b',
    window: { start: START + 50 * DAY, end: START + 52 * DAY },
    chosen: START + 51 * DAY,
    explanationUrl: 'https://ca.example/why',
    nextAsk: START + 51 * DAY - HOUR,
    failures: 0,
    ...changes,
  };
}

describe('what was just published is kept a while', () => {
  test('when the CA advises to renew what it has just given', () => {
    const past = advice({ chosen: START - DAY });
    const fresh = { ...PUBLIC, publishedAt: START };
    const decision = at(START + HOUR, fresh, { advice: past });
    assert.deepEqual([decision.action, decision.nextLook], ['keep', START + 6 * HOUR]);
    assert.equal(at(START + 6 * HOUR, fresh, { advice: past }).reason, 'advised');
  });

  test('when the CA backdates so far that half of the lifetime, and the emergency line, are past', () => {
    const published = START + 30 * DAY;
    const backdated = { ...PUBLIC, publishedAt: published, notAfter: published + 3 * HOUR };
    assert.equal(at(published + HOUR - 1, backdated).action, 'keep');
    const due = at(published + HOUR, backdated);
    assert.deepEqual([due.reason, due.emergency], ['renewal-time', false]);
    assert.equal(at(published + 2 * HOUR, backdated).emergency, true);
  });

  test('but not when a clock that was ahead published it', () => {
    assert.equal(at(PLAN, { ...PUBLIC, publishedAt: START + 365 * DAY }).reason, 'renewal-time');
  });
});

describe("a CA's advice", () => {
  test('renews at the time that was chosen, and not before', () => {
    const before = at(START + 51 * DAY - 1, PUBLIC, { advice: advice() });
    assert.deepEqual([before.action, before.reason], ['keep', 'not-due']);
    const due = at(START + 51 * DAY, PUBLIC, { advice: advice() });
    assert.deepEqual([due.action, due.reason, due.issuers], ['issue', 'advised', ['letsencrypt']]);
  });

  test('is told to the operator with its window and where it is explained', () => {
    for (const now of [START, START + 51 * DAY]) {
      assert.match(
        at(now, PUBLIC, { advice: advice() }).detail,
        /between 2026-02-20 00:00 UTC and 2026-02-22 .*https:\/\/ca\.example\/why/,
      );
    }
  });

  test('wakes whoever waits when the CA is to be asked again, or at the chosen time if that is sooner', () => {
    assert.equal(at(START, PUBLIC, { advice: advice() }).nextLook, START + 51 * DAY - HOUR);
    assert.equal(at(START, PUBLIC, { advice: advice({ nextAsk: START + 80 * DAY }) }).nextLook, START + 51 * DAY);
  });

  test('may renew later than the fractions would', () => {
    const late = advice({ chosen: START + 80 * DAY });
    assert.equal(at(PLAN + DAY, PUBLIC, { advice: late }).action, 'keep');
    assert.equal(at(START + 80 * DAY, PUBLIC, { advice: late }).reason, 'advised');
  });

  test('counts no longer past the emergency line', () => {
    const later = advice({ chosen: START + 89 * DAY, nextAsk: START + 89 * DAY });
    assert.equal(at(LINE - 1, PUBLIC, { advice: later }).nextLook, LINE);
    const decision = at(LINE, PUBLIC, { advice: later });
    assert.deepEqual([decision.action, decision.reason, decision.emergency], ['issue', 'emergency', true]);
  });

  test('that has no window yet leaves the fractions in force, and is asked for again', () => {
    const none = advice({ window: undefined, chosen: undefined, nextAsk: START + HOUR });
    assert.equal(at(START, PUBLIC, { advice: none }).nextLook, START + HOUR);
    assert.equal(at(PLAN, PUBLIC, { advice: none }).reason, 'renewal-time');
  });

  test('is nothing to a local, an adopted and a placeholder certificate', () => {
    const now = advice({ chosen: START });
    const local = { ...PUBLIC, issuer: 'local-ca' };
    assert.equal(at(START + DAY, local, { advice: now, spec: spec(['local-ca']) }).action, 'keep');
    assert.equal(at(START + DAY, { ...PUBLIC, origin: 'adopted' }, { advice: now }).action, 'keep');
    assert.equal(at(START + DAY, PLACEHOLDER, { advice: now }).reason, 'placeholder');
  });

  test('does not break the back-off', () => {
    const decision = at(START + 51 * DAY, PUBLIC, { advice: advice(), retryAt: START + 52 * DAY });
    assert.deepEqual([decision.action, decision.reason], ['wait', 'backing-off']);
  });
});

describe('a revoked certificate', () => {
  const revoked = { at: START + DAY };

  test('is replaced at once, by any issuer, and somebody is told', () => {
    const decision = at(START + 2 * DAY, PUBLIC, { revoked, spec: spec(['letsencrypt', 'local-ca']) });
    assert.deepEqual(
      [decision.action, decision.reason, decision.issuers, decision.emergency],
      ['issue', 'revoked', ['letsencrypt', 'local-ca'], true],
    );
    assert.match(decision.detail, /2026-01-02/);
  });

  test('is not replaced by a placeholder while it is valid', () => {
    const decision = at(START + 2 * DAY, PUBLIC, { revoked, retryAt: START + 3 * DAY });
    assert.deepEqual([decision.action, decision.reason, decision.placeholder], ['wait', 'backing-off', undefined]);
    assert.equal(at(START + 2 * DAY, PUBLIC, { revoked }).placeholder, false);
  });
});

describe('another profile', () => {
  test('in the configuration, also where there was none or is none any more, is a reason to issue', () => {
    for (const [has, wanted] of [
      ['classic', 'shortlived'],
      [undefined, 'shortlived'],
      ['shortlived', undefined],
    ]) {
      const decision = at(START + DAY, { ...PUBLIC, profile: has }, { profile: wanted });
      assert.deepEqual([decision.action, decision.reason], ['issue', 'profile-changed']);
      assert.match(decision.detail, new RegExp(`is ${has ?? 'none'}, configured is ${wanted ?? 'none'}`));
    }
  });

  test('is none where it is the same, not known, or of an issuer that is not configured any more', () => {
    assert.equal(at(START + DAY, { ...PUBLIC, profile: 'classic' }, { profile: 'classic' }).action, 'keep');
    assert.equal(at(START + DAY, { ...PUBLIC, profile: undefined }, { profile: undefined }).action, 'keep');
    assert.equal(at(START + DAY, PUBLIC, { profile: 'classic' }).action, 'keep');
    assert.equal(at(START + DAY, { ...PUBLIC, profile: 'classic' }).action, 'keep');
    const gone = { spec: spec(['house']), profile: undefined };
    assert.equal(at(START + DAY, { ...PUBLIC, profile: 'classic' }, gone).action, 'keep');
  });
});

describe('an issuer that takes no orders', () => {
  const two = spec(['letsencrypt', 'house']);
  const held = new Map([['letsencrypt', { until: LINE + DAY, why: 'letsencrypt takes no orders: 429' }]]);

  test('is left out, and the others are asked', () => {
    assert.deepEqual(at(LINE, PUBLIC, { spec: two, held }).issuers, ['house']);
  });

  test('is waited for where no other may be asked, and the wait says why', () => {
    const decision = at(LINE, PUBLIC, { held });
    assert.deepEqual([decision.action, decision.reason, decision.nextLook], ['wait', 'rate-limited', LINE + DAY]);
    assert.match(decision.detail, /expires at .*; letsencrypt takes no orders: 429/);
  });

  test('is not waited for past the emergency line, where others may step in', () => {
    const before = at(PLAN, PUBLIC, { spec: two, held });
    assert.deepEqual([before.action, before.nextLook], ['wait', LINE]);
  });

  test('of several the one that is free first ends the wait', () => {
    const both = new Map([...held, ['house', { until: LINE + HOUR, why: 'house is full' }]]);
    assert.equal(at(LINE, PUBLIC, { spec: two, held: both }).nextLook, LINE + HOUR);
  });

  test('is asked again when the wait is over, and at once by force', () => {
    assert.equal(at(LINE + DAY, PUBLIC, { held }).action, 'issue');
    const forced = at(START + DAY, PUBLIC, { held, force: true, retryAt: LINE });
    assert.deepEqual([forced.action, forced.reason, forced.issuers], ['issue', 'forced', ['letsencrypt']]);
  });

  test('changes nothing for a certificate that needs nothing', () => {
    assert.equal(at(START, PUBLIC, { held }).action, 'keep');
  });

  test('may ask for a wait beyond what a date can hold', () => {
    const forever = new Map([['letsencrypt', { until: Number.MAX_VALUE, why: 'never' }]]);
    assert.equal(at(LINE, PUBLIC, { held: forever }).nextLook, START + 90 * DAY);
    assert.equal(at(LINE, PUBLIC, { retryAt: Number.MAX_VALUE }).reason, 'backing-off');
  });
});

describe('a wait that one CA imposed', () => {
  const list = spec(['letsencrypt', 'house']);
  const imposed = { spec: list, failedAt: LINE - DAY, retryAt: LINE + 6 * DAY };

  test('ends for the others at the emergency line', () => {
    assert.equal(at(LINE - 1, PUBLIC, imposed).nextLook, LINE);
    const decision = at(LINE, PUBLIC, imposed);
    assert.deepEqual([decision.action, decision.issuers], ['issue', ['house']]);
  });

  test('binds them too when they have been asked', () => {
    assert.equal(at(LINE + HOUR, PUBLIC, { ...imposed, failedAt: LINE }).action, 'wait');
  });

  test('by one that stands before the issuer of what is published leaves the renewal by that one alone', () => {
    const house = { ...PUBLIC, issuer: 'house', notAfter: START + 7 * DAY };
    const refused = { spec: list, failedAt: START + DAY, retryAt: START + 8 * DAY, askedLast: 'letsencrypt' };
    assert.equal(at(START + 3 * DAY, house, refused).action, 'wait');
    assert.deepEqual(at(START + 3.5 * DAY, house, refused).issuers, ['house']);
    assert.equal(at(START + 3.5 * DAY, house, { ...refused, askedLast: 'house' }).action, 'wait');
  });

  test('is told from the own back-off, which lets the first issuer try once more', () => {
    assert.equal(at(LINE, PUBLIC, { ...imposed, retryAt: LINE + 0.2 * DAY }).action, 'wait');
  });
});

describe('a placeholder', () => {
  test('is published besides asking the issuer, where there is nothing', () => {
    const decision = at(START, { state: 'absent' });
    assert.deepEqual([decision.action, decision.reason, decision.placeholder], ['issue', 'missing', true]);
  });

  test('is published where the certificate has expired or is damaged and no other is valid', () => {
    assert.equal(at(EXPIRED, PUBLIC).placeholder, true);
    assert.equal(at(START + 90 * DAY - 1, PUBLIC).placeholder, false);
    const damaged: Current = { state: 'damaged', why: 'cert.pem is empty' };
    assert.equal(at(START + DAY, damaged).placeholder, true);
    const kept = [{ generation: 3, notBefore: START, notAfter: START + 2 * DAY }];
    assert.equal(at(START + DAY, damaged, { kept }).placeholder, false);
    assert.equal(at(START + 3 * DAY, damaged, { kept }).placeholder, true);
  });

  test('is not needed where a local issuer is asked first, or is the first that takes orders', () => {
    assert.equal(at(START, { state: 'absent' }, { spec: spec(['local-ca', 'letsencrypt']) }).placeholder, false);
    const held = new Map([['letsencrypt', { until: START + DAY, why: '429' }]]);
    assert.equal(at(START, { state: 'absent' }, { spec: spec(['letsencrypt', 'local-ca']), held }).placeholder, false);
  });

  test('is no emergency while it is healthy, and the issuer is asked for the real one', () => {
    const decision = at(START + HOUR, PLACEHOLDER);
    assert.deepEqual(
      [decision.action, decision.reason, decision.emergency, decision.placeholder, decision.issuers],
      ['issue', 'placeholder', false, false, ['letsencrypt']],
    );
  });

  test('is replaced by whichever issuer is configured, also the built-in CA', () => {
    for (const issuers of [['house'], ['letsencrypt', 'house'], ['local-ca'], ['self-signed']]) {
      assert.deepEqual(at(START + HOUR, PLACEHOLDER, { spec: spec(issuers) }).issuers, issuers);
    }
  });

  test('is renewed at half of its life, together with asking the issuer', () => {
    assert.equal(at(START + 3.5 * DAY - 1, PLACEHOLDER).placeholder, false);
    const decision = at(START + 3.5 * DAY, PLACEHOLDER);
    assert.deepEqual([decision.action, decision.placeholder, decision.emergency], ['issue', true, false]);
  });

  for (const [name, wait] of [
    ['a back-off', { retryAt: START + 30 * DAY }],
    ['a hold', { held: new Map([['letsencrypt', { until: START + 30 * DAY, why: '429' }]]) }],
  ] as const) {
    test(`is renewed on its own at half of its life during ${name}`, () => {
      const before = at(START + HOUR, PLACEHOLDER, wait);
      assert.deepEqual([before.action, before.nextLook], ['wait', START + 3.5 * DAY]);
      const due = at(START + 3.5 * DAY, PLACEHOLDER, wait);
      assert.deepEqual([due.action, due.placeholder, due.nextLook], ['placeholder', true, START + 7 * DAY]);
    });

    test(`is published during ${name} where there is nothing`, () => {
      const decision = at(START, { state: 'absent' }, wait);
      assert.deepEqual([decision.action, decision.nextLook], ['placeholder', START + PLACEHOLDER_LIFETIME / 2]);
    });
  }

  test('makes way for the next try where that comes before its half', () => {
    assert.equal(at(START, { state: 'absent' }, { retryAt: START + MINUTE }).nextLook, START + MINUTE);
  });

  test('does not come where a kept generation can be gone back to while the issuer is waited for', () => {
    const kept = [{ generation: 3, notBefore: START, notAfter: START + 2 * DAY }];
    const decision = at(START + DAY, { state: 'damaged', why: 'x' }, { kept, retryAt: START + 2 * DAY });
    assert.deepEqual([decision.action, decision.generation], ['restore', 3]);
  });

  test('does not come by a clock that is behind', () => {
    assert.equal(at(START, { state: 'absent' }, { clockBehind: true }).action, 'wait');
  });
});

test('what is published says by when it wants to be looked at again', () => {
  const published: Current = { state: 'published', ...PUBLIC };
  assert.deepEqual(
    [START, PLAN, LINE - 1, LINE, START + 90 * DAY].map((now) => lookBy(spec(), published, now)),
    [PLAN, LINE, LINE, START + 90 * DAY, Infinity],
  );
  assert.equal(lookBy(spec(), { state: 'published', ...PLACEHOLDER }, START), START + 3.5 * DAY);
  assert.equal(lookBy(spec(), { state: 'absent' }, START), Infinity);
});
