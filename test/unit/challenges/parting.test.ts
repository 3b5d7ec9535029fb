import assert from 'node:assert/strict';
import { test } from 'node:test';

import { openParting } from '../../../src/challenges/parting.ts';
import { describeError } from '../../../src/platform/errors.ts';

/** What never ends by itself. */
function hanging(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const end = (): void => reject(signal.reason);
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  return promise;
}

async function lasted(work: Promise<unknown>): Promise<{ seconds: number; line: string }> {
  const before = performance.now();
  const line = await work.then(() => 'it was done', describeError);
  return { seconds: (performance.now() - before) / 1000, line };
}

test('what is taken away has its time while the order goes on', async () => {
  const order = new AbortController().signal;
  const parting = openParting();
  assert.equal(await parting(order, 1000, (signal) => Promise.resolve(signal.aborted)), false);
  const { seconds, line } = await lasted(parting(order, 100, hanging));
  assert.ok(seconds < 1, `${seconds}`);
  assert.match(line, /may be left behind: taking it away was not done within 0\.1 s/);
});

test('after the stop all of an order have seconds together, those that are waited for already too', async () => {
  const order = new AbortController();
  const parting = openParting();
  const early = lasted(parting(order.signal, 60_000, hanging));
  order.abort();
  const [first, late] = await Promise.all([early, lasted(parting(order.signal, undefined, hanging))]);
  for (const { seconds } of [first, late]) assert.ok(seconds > 2 && seconds < 4, `${seconds}`);
  const after = await lasted(parting(order.signal, 60_000, hanging));
  assert.ok(after.seconds < 0.2, `${after.seconds}`);
});
