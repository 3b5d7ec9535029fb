import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { parseIdentifier } from '../../../src/certificate/identifier.ts';
import { decide, emergencyLine, renewalTime, type Current, type Published, type Situation } from '../../../src/certificate/renewal.ts';
import type { CertificateSpec } from '../../../src/certificate/spec.ts';
import { DAY, HOUR } from '../../../src/platform/clock.ts';

const START = Date.parse('2026-01-01T00:00:00Z');

function spec(changes: Partial<CertificateSpec> = {}): CertificateSpec {
  return {
    name: 'default',
    identifiers: [parseIdentifier('lab.example.org')],
    keyType: 'ecdsa-p256',
    issuers: ['local-ca'],
    lifetime: 90 * DAY,
    renewBefore: 7 * DAY,
    consumers: [],
    ...changes,
  };
}

function published(changes: Partial<Published> = {}): Published {
  return {
    generation: 4,
    issuer: 'local-ca',
    origin: 'issued',
    placeholder: false,
    keyType: 'ecdsa-p256',
    identifiers: [parseIdentifier('lab.example.org')],
    notBefore: START,
    notAfter: START + 90 * DAY,
    ...changes,
  };
}

function at(now: number, current: Current | Partial<Published>, changes: Partial<Situation> = {}): ReturnType<typeof decide> {
  const seen: Current = 'state' in current ? current : { state: 'published', ...published(current) };
  return decide({ spec: spec(), current: seen, kept: [], retryAt: undefined, clockBehind: false, force: false, now, ...changes });
}

describe('when a certificate is renewed', () => {
  test('a local certificate of 90 days is renewed 7 days before it expires, and not before', () => {
    assert.equal(at(START + 83 * DAY - 1, {}).action, 'keep');
    const due = at(START + 83 * DAY, {});
    assert.deepEqual([due.action, due.reason, due.issuers], ['issue', 'renewal-time', ['local-ca']]);
  });

  test('a kept certificate says when to look next: at its planned renewal', () => {
    assert.equal(at(START + DAY, {}).nextLook, START + 83 * DAY);
  });

  test('a short local certificate is renewed at two thirds of its life however long before expiry is configured', () => {
    const short = published({ notAfter: START + 6 * DAY });
    assert.equal(renewalTime(spec(), short), START + 4 * DAY);
  });

  test('an ACME certificate without advice is renewed at two thirds of its life, at half below ten days', () => {
    const acme = spec({ issuers: ['letsencrypt'] });
    assert.equal(renewalTime(acme, published({ issuer: 'letsencrypt' })), START + 60 * DAY);
    assert.equal(renewalTime(acme, published({ issuer: 'letsencrypt', notAfter: START + 160 * HOUR })), START + 80 * HOUR);
  });

  test('a placeholder is renewed at half of its life when nothing better can be had', () => {
    const placeholder = published({ placeholder: true, notAfter: START + 7 * DAY });
    assert.equal(renewalTime(spec(), placeholder), START + 3.5 * DAY);
  });

  test('a missing, a corrupt and an expired certificate are issued at once', () => {
    assert.equal(at(START, { state: 'absent' }).reason, 'missing');
    assert.equal(at(START, { state: 'damaged', why: 'cert.pem is empty' }).reason, 'corrupt');
    assert.equal(at(START + 91 * DAY, {}).reason, 'expired');
  });

  test('a name that the certificate does not cover is a reason to issue, and is named', () => {
    const wanted = spec({ identifiers: [parseIdentifier('lab.example.org'), parseIdentifier('bücher.example.org')] });
    const decision = at(START + DAY, {}, { spec: wanted });
    assert.equal(decision.reason, 'name-not-covered');
    assert.match(decision.detail, /bücher\.example\.org/);
  });

  test('a wildcard covers one label and the apex has to be covered on its own', () => {
    const have = [parseIdentifier('*.example.org')];
    assert.equal(
      at(START + DAY, { identifiers: have }, { spec: spec({ identifiers: [parseIdentifier('www.example.org')] }) }).action,
      'keep',
    );
    assert.equal(at(START + DAY, { identifiers: have }, { spec: spec({ identifiers: [parseIdentifier('example.org')] }) }).action, 'issue');
    assert.equal(
      at(START + DAY, { identifiers: have }, { spec: spec({ identifiers: [parseIdentifier('a.b.example.org')] }) }).action,
      'issue',
    );
  });

  test('another key type in the configuration is a reason to issue', () => {
    assert.equal(at(START + DAY, {}, { spec: spec({ keyType: 'rsa-2048' }) }).reason, 'key-type-changed');
  });

  test('a self-signed certificate is replaced once local-ca is configured instead', () => {
    assert.equal(at(START + DAY, { issuer: 'self-signed' }).reason, 'issuer-changed');
  });

  test('force renews a certificate that is not due, and ignores the back-off', () => {
    assert.equal(at(START + DAY, {}, { force: true, retryAt: START + 2 * DAY }).reason, 'forced');
  });

  test('after a failure nothing is tried before the back-off allows it', () => {
    const decision = at(START + 84 * DAY, {}, { retryAt: START + 84 * DAY + HOUR });
    assert.deepEqual([decision.action, decision.reason, decision.nextLook], ['wait', 'backing-off', START + 84 * DAY + HOUR]);
    assert.match(decision.detail, /renewal was planned/);
  });
});

describe('the emergency line', () => {
  test('lies half the planned lead before expiry for a local certificate, at most 7 days', () => {
    assert.equal(emergencyLine(spec(), published()), START + 86.5 * DAY);
    assert.equal(emergencyLine(spec({ issuers: ['letsencrypt'] }), published({ issuer: 'letsencrypt' })), START + 83 * DAY);
  });

  test('is never reached by a healthy renewal, whatever the lifetime', () => {
    for (const days of [1, 2, 7, 9, 10, 45, 90, 200, 397]) {
      for (const issuer of ['local-ca', 'letsencrypt']) {
        const one = published({ issuer, notAfter: START + days * DAY });
        const wanted = spec({ issuers: [issuer], renewBefore: Math.min(7, days / 2) * DAY });
        assert.ok(renewalTime(wanted, one) < emergencyLine(wanted, one), `${issuer}, ${days} days`);
      }
    }
  });

  test('raises the alarm and opens the way for every issuer', () => {
    const wanted = spec({ issuers: ['letsencrypt', 'local-ca'] });
    const decision = at(START + 83 * DAY, { issuer: 'letsencrypt' }, { spec: wanted });
    assert.deepEqual([decision.emergency, decision.reason, decision.issuers], [true, 'emergency', ['letsencrypt', 'local-ca']]);
  });
});

describe('no downgrade', () => {
  const both = spec({ issuers: ['letsencrypt', 'local-ca'] });

  test('an issuer later in the list may not replace what an earlier one signed and is still good', () => {
    const decision = at(START + 61 * DAY, { issuer: 'letsencrypt' }, { spec: both });
    assert.deepEqual([decision.action, decision.issuers], ['issue', ['letsencrypt']]);
  });

  test('an issuer earlier in the list may replace what a later one signed', () => {
    const decision = at(START + 84 * DAY, { issuer: 'local-ca' }, { spec: both });
    assert.deepEqual(decision.issuers, ['letsencrypt', 'local-ca']);
  });

  test('a missing name is no licence for a later issuer', () => {
    const wanted = { ...both, identifiers: [parseIdentifier('new.example.org')] };
    const decision = at(START + DAY, { issuer: 'letsencrypt' }, { spec: wanted });
    assert.deepEqual([decision.reason, decision.issuers], ['name-not-covered', ['letsencrypt']]);
  });

  for (const origin of ['adopted', 'imported'] as const) {
    test(`nor may it what was ${origin}: nobody knows that it was no better`, () => {
      const foreign = { origin, issuer: "R13, Let's Encrypt" } as const;
      assert.deepEqual(at(START + 61 * DAY, foreign, { spec: both }).issuers, ['letsencrypt']);
      assert.deepEqual(at(START + 83 * DAY, foreign, { spec: both }).issuers, both.issuers);
    });
  }

  test('any issuer may replace a missing, a corrupt and an expired one', () => {
    assert.deepEqual(at(START, { state: 'absent' }, { spec: both }).issuers, both.issuers);
    assert.deepEqual(at(START, { state: 'damaged', why: 'x' }, { spec: both }).issuers, both.issuers);
    assert.deepEqual(at(START + 91 * DAY, { issuer: 'letsencrypt' }, { spec: both }).issuers, both.issuers);
  });

  test('a public certificate stays when only local issuers are configured any more, until its emergency line', () => {
    const before = at(START + 61 * DAY, { issuer: 'letsencrypt' });
    assert.deepEqual([before.action, before.reason, before.nextLook], ['keep', 'no-downgrade', START + 83 * DAY]);
    assert.equal(at(START + DAY, { issuer: 'letsencrypt' }, { force: true }).reason, 'no-downgrade');
    assert.deepEqual(at(START + 83 * DAY, { issuer: 'letsencrypt' }).issuers, ['local-ca']);
  });

  test('a real certificate replaces a placeholder at once', () => {
    const wanted = spec({ issuers: ['letsencrypt'] });
    const decision = at(START + HOUR, { placeholder: true, notAfter: START + 7 * DAY }, { spec: wanted });
    assert.deepEqual([decision.action, decision.reason], ['issue', 'placeholder']);
  });

  test('a placeholder is no emergency before its own line', () => {
    assert.equal(at(START + 5 * DAY, { placeholder: true, notAfter: START + 7 * DAY }).emergency, false);
    assert.equal(at(START + 6 * DAY, { placeholder: true, notAfter: START + 7 * DAY }).emergency, true);
  });

  for (const origin of ['adopted', 'imported'] as const) {
    test(`a ${origin} Let's Encrypt pair stays under the default configuration until its own renewal time`, () => {
      const foreign = { origin, issuer: "R13, Let's Encrypt", keyType: 'rsa-2048' } as const;
      assert.equal(at(START + 82 * DAY, foreign).action, 'keep');
      assert.deepEqual(at(START + 83 * DAY, foreign).issuers, ['local-ca']);
    });

    test(`an ${origin} pair is replaced early when it misses a configured name, and by force`, () => {
      const foreign = { origin, issuer: 'R13', identifiers: [parseIdentifier('other.example.org')] } as const;
      assert.equal(at(START + DAY, foreign).reason, 'name-not-covered');
      assert.equal(at(START + DAY, { origin, issuer: 'R13' }, { force: true }).reason, 'forced');
    });
  }

  test('another key type does not replace an adopted pair', () => {
    assert.equal(at(START + DAY, { origin: 'adopted', issuer: 'R13', keyType: 'rsa-4096' }).action, 'keep');
  });
});

describe('a wrong clock', () => {
  test('behind the ledger: nothing is issued, not even for an expired certificate', () => {
    const decision = at(START + 91 * DAY, {}, { clockBehind: true });
    assert.deepEqual([decision.action, decision.reason], ['wait', 'clock-behind']);
  });

  test('a generation from the future gives way to the newest kept one that is valid', () => {
    const kept = [
      { generation: 3, notBefore: START + 3000 * DAY, notAfter: START + 3090 * DAY },
      { generation: 2, notBefore: START - DAY, notAfter: START + 80 * DAY },
      { generation: 1, notBefore: START - 2 * DAY, notAfter: START + 80 * DAY },
    ];
    const decision = at(START, { notBefore: START + 3650 * DAY, notAfter: START + 3740 * DAY }, { kept });
    assert.deepEqual([decision.action, decision.generation], ['restore', 2]);
  });

  test('a generation from the future is reissued when no kept one is valid', () => {
    const decision = at(START, { notBefore: START + 3650 * DAY, notAfter: START + 3740 * DAY });
    assert.deepEqual([decision.action, decision.reason], ['issue', 'from-the-future']);
  });

  test('a backdated or slightly early start is no sign of a wrong clock', () => {
    assert.equal(at(START - 30 * 60_000, {}).action, 'keep');
  });
});
