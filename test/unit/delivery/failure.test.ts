import assert from 'node:assert/strict';
import test from 'node:test';

import { parseEndpoint } from '../../../src/delivery/endpoint.ts';
import { ProbeFailure, harmless } from '../../../src/delivery/failure.ts';
import { describeError } from '../../../src/platform/errors.ts';

const endpoint = parseEndpoint('smtp://mail.lab.test');

test('what a peer says cannot move the cursor, reorder the line or fill it', () => {
  assert.equal(harmless('220 \u001b[2Jhello\r\n\u0007world\u202e!'), '220 [2Jhello world !');
  assert.equal(harmless('x'.repeat(100_000)).length, 200);
  assert.equal(harmless('grüße'), 'grüße');
});

test('a failure line says endpoint, step, time, what the peer said and what to do', () => {
  const failure = new ProbeFailure(endpoint, 'starttls', {
    why: 'it offers STARTTLS but cannot do it now',
    remedy: 'see its log',
    peerSaid: '454 4.7.0 TLS not available',
    afterMs: 12.4,
  });
  const expected =
    'STARTTLS was not possible: smtp://mail.lab.test: it offers STARTTLS but cannot do it now, ' +
    'the peer said "454 4.7.0 TLS not available" (step starttls, after 12 ms); see its log';
  assert.equal(describeError(failure), expected);
  assert.equal(failure.code, 'PROBE_FAILED');
  assert.equal(failure.exitCode, 1);
});

test('a peer that said nothing is not quoted', () => {
  const failure = new ProbeFailure(endpoint, 'greeting', { why: 'no answer', remedy: 'wait', peerSaid: '', afterMs: 1 });
  assert.equal(failure.peerSaid, undefined);
  assert.ok(!describeError(failure).includes('said'));
});
