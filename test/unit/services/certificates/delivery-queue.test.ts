import assert from 'node:assert/strict';
import { test } from 'node:test';

import { deliveryQueue } from '../../../../src/services/certificates/delivery-queue.ts';
import type { Result } from '../../../../src/services/certificates/result.ts';
import { testSpec } from '../../../support/certificate-service.ts';

function result(name: string, link: string): Result {
  return {
    spec: testSpec({ name }),
    outcome: 'published',
    decision: { action: 'keep', reason: 'not-due', detail: '', nextLook: 0, emergency: false, issuers: [] },
    current: { state: 'absent' },
    link,
    manifest: undefined,
    warnings: [],
    error: undefined,
  };
}

test('what is published while a consumer is waited for is verified together, once, and the newest of each certificate', async () => {
  const verified: string[][] = [];
  const queue = deliveryQueue(async (results) => {
    verified.push(results.map(({ spec, link }) => `${spec.name} ${link}`));
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
  queue.add([]);
  queue.add([result('first', '1')]);
  for (let index = 0; index < 3; index += 1) queue.add([result(`c${index}`, '1')]);
  queue.add([result('c0', '2'), result('first', '2')]);
  await queue.idle();
  assert.deepEqual(verified, [['first 1'], ['c0 2', 'c1 1', 'c2 1', 'first 2']]);
  queue.add([result('late', '1')]);
  await queue.idle();
  assert.deepEqual(verified.at(-1), ['late 1']);
});
