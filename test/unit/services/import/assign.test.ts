import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { parseIdentifiers } from '../../../../src/certificate/identifier.ts';
import { CERTIFICATE_NAME, type CertificateSpec } from '../../../../src/certificate/spec.ts';
import { DAY } from '../../../../src/platform/clock.ts';
import { assign, certificateName, type Candidate } from '../../../../src/services/import/assign.ts';

const NOW = Date.parse('2026-06-01T00:00:00Z');

function spec(name: string, ...names: string[]): CertificateSpec {
  const identifiers = parseIdentifiers(names);
  return { name, identifiers, keyType: 'ecdsa-p256', issuers: ['local-ca'], lifetime: 90 * DAY, renewBefore: 7 * DAY, consumers: [] };
}

function lineage(name: string, names: string[], days = 60): Candidate {
  return { lineage: name, identifiers: parseIdentifiers(names), notBefore: NOW - DAY, notAfter: NOW + days * DAY };
}

function places(candidates: Candidate[], specs: CertificateSpec[]): string[] {
  return assign(candidates, specs, NOW).assignments.map(
    (one) => `${one.lineage} -> ${one.name}${one.spec === undefined ? ' (not configured)' : ''}`,
  );
}

describe('where a lineage goes', () => {
  test('to the configured certificate whose names it covers, default among them', () => {
    const specs = [spec('default', 'lab.test', 'www.lab.test'), spec('mail', 'mail.lab.test')];
    const candidates = [lineage('lab.test', ['lab.test', 'www.lab.test', 'old.lab.test']), lineage('mail.lab.test', ['mail.lab.test'])];
    assert.deepEqual(places(candidates, specs), ['lab.test -> default', 'mail.lab.test -> mail']);
  });

  test('a wildcard serves every certificate that it covers', () => {
    const specs = [spec('default', 'a.lab.test'), spec('mail', 'mail.lab.test'), spec('apex', 'lab.test')];
    assert.deepEqual(places([lineage('wild', ['*.lab.test'])], specs), ['wild -> default', 'wild -> mail']);
  });

  test('of several that fit, the one with fewest further names, then the one that lives longest', () => {
    const specs = [spec('default', 'lab.test')];
    const candidates = [
      lineage('wide', ['lab.test', 'x.lab.test'], 80),
      lineage('lab.test', ['lab.test'], 20),
      lineage('lab.test-0001', ['lab.test'], 70),
    ];
    const { assignments, unassigned } = assign(candidates, specs, NOW);
    assert.deepEqual(
      assignments.map((one) => one.lineage),
      ['lab.test-0001'],
    );
    assert.deepEqual(unassigned, [
      { lineage: 'wide', why: 'lineage lab.test-0001 fits certificate default better' },
      { lineage: 'lab.test', why: 'lineage lab.test-0001 fits certificate default better' },
    ]);
  });

  test('one that covers only some of the names is no fit and gets a name of its own', () => {
    assert.deepEqual(places([lineage('lab.test', ['lab.test'])], [spec('default', 'lab.test', 'www.lab.test')]), [
      'lab.test -> lab-test (not configured)',
    ]);
  });

  test('names made up never take a configured one, nor each other', () => {
    const candidates = [lineage('default', ['x.test']), lineage('a.b', ['a.b.test']), lineage('a-b', ['a-b.test'])];
    assert.deepEqual(places(candidates, [spec('default', 'lab.test')]), [
      'default -> default-2 (not configured)',
      'a.b -> a-b (not configured)',
      'a-b -> a-b-2 (not configured)',
    ]);
  });

  test('what has expired or is not valid yet goes nowhere, and the reason says which', () => {
    const early = { ...lineage('early', ['early.test']), notBefore: NOW + DAY };
    const { assignments, unassigned } = assign([lineage('old', ['old.test'], -1), early], [], NOW);
    assert.deepEqual(assignments, []);
    assert.match(unassigned[0]?.why ?? '', /expired on 2026-05-31/);
    assert.match(unassigned[1]?.why ?? '', /not valid before 2026-06-02/);
  });
});

test('every lineage name becomes a valid certificate name, long ones without meeting', () => {
  const long = 'sub.'.repeat(30);
  const names = ['example.com', 'example.com-0001', '*.example.com', 'Ünïcode.example', '---', '', `${long}a`, `${long}b`].map(
    certificateName,
  );
  for (const name of names) assert.match(name, CERTIFICATE_NAME);
  assert.equal(new Set(names.slice(6)).size, 2);
  assert.deepEqual(names.slice(0, 3), ['example-com', 'example-com-0001', 'example-com']);
});
