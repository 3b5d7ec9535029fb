import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decodeMessage, encodeRequest } from '../../../../src/challenges/dns/message.ts';
import { DnsFormatError } from '../../../../src/challenges/dns/name.ts';
import { judgeAnswer, signRequest, type SignedRequest, type TsigVerdict } from '../../../../src/challenges/dns/tsig.ts';
import type { TsigKey } from '../../../../src/challenges/dns/tsig-key.ts';
import { randomStream, scaled } from '../../../support/scale.ts';

const NOW = Date.UTC(2026, 10, 23);
const KEY: TsigKey = { name: 'podserve', algorithm: 'hmac-sha256', secret: Buffer.alloc(32, 7) };
const WIRE = encodeRequest({
  id: 0x1234,
  opcode: 5,
  recursionDesired: false,
  questions: [{ name: 'example.org', type: 6, class: 1 }],
  authorities: [],
  additionals: [],
});

function judged(signed: SignedRequest, request: SignedRequest, key = KEY, now = NOW): TsigVerdict {
  return judgeAnswer(signed.wire, decodeMessage(signed.wire).tsig, key, request, now);
}

test('a message without a signature is unsigned', () => {
  assert.deepEqual(judged({ wire: WIRE, mac: Buffer.alloc(0) }, signRequest(WIRE, KEY, NOW)), { verdict: 'unsigned' });
});

test("a request sent back is no answer to itself: the answer's signature covers the request's", () => {
  const signed = signRequest(WIRE, KEY, NOW);
  assert.deepEqual(judged(signed, signed), { verdict: 'forged' });
});

test('another key name, algorithm or secret makes it forged', () => {
  const signed = signRequest(WIRE, KEY, NOW);
  for (const key of [
    { ...KEY, name: 'other' },
    { ...KEY, algorithm: 'hmac-sha512' as const },
    { ...KEY, secret: Buffer.alloc(32, 8) },
  ]) {
    assert.deepEqual(judged(signed, signed, key), { verdict: 'forged' });
  }
});

test('damaged signatures are refused or forged, never good and never another error', () => {
  const random = randomStream('changed TSIG records');
  const signed = signRequest(WIRE, KEY, NOW);
  const seen = new Set<string>();
  for (let count = 0; count < scaled(100_000); count++) {
    const wire = Buffer.from(signed.wire);
    for (let changes = 1 + Math.floor(random() * 3); changes > 0; changes--) {
      wire[WIRE.length + Math.floor(random() * (wire.length - WIRE.length))] = Math.floor(random() * 256);
    }
    try {
      seen.add(judgeAnswer(wire, decodeMessage(wire).tsig, KEY, signed, NOW).verdict);
    } catch (error) {
      assert.ok(error instanceof DnsFormatError, String(error));
      seen.add('refused');
    }
  }
  assert.ok(!seen.has('good') && seen.has('forged') && seen.has('refused'), [...seen].join(' '));
});
