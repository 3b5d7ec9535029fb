import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { openWhileUsed, type OpenWhileUsed } from '../../../src/challenges/open-while-used.ts';

interface Door {
  readonly events: string[];
  readonly used: OpenWhileUsed;
}

/** Opening and closing take a while, and may not overlap. */
function door(broken = { broken: false }): Door {
  const events: string[] = [];
  let open = false;
  const used = openWhileUsed(async () => {
    assert.equal(open, false, 'opened twice');
    await setImmediate();
    if (broken.broken) throw new Error('stuck');
    open = true;
    events.push('open');
    return {
      async [Symbol.asyncDispose]() {
        await setImmediate();
        open = false;
        events.push('closed');
      },
    };
  });
  return { events, used };
}

test('the first use opens, the last to leave closes, and it can be opened again', async () => {
  const { events, used } = door();
  await Promise.all([used.use(), used.use(), used.use()]);
  await used.leave();
  await used.leave();
  assert.deepEqual(events, ['open']);
  await used.leave();
  assert.deepEqual(events, ['open', 'closed']);
  await used.use();
  await used.leave();
  assert.deepEqual(events, ['open', 'closed', 'open', 'closed']);
});

test('a use during the closing waits for it and opens again', async () => {
  const { events, used } = door();
  await used.use();
  await Promise.all([used.leave(), setImmediate().then(() => used.use())]);
  assert.equal(events.at(-1), 'open');
  await used.leave();
  assert.equal(events.at(-1), 'closed');
});

test('a use while the last one leaves keeps it open', async () => {
  const { events, used } = door();
  await used.use();
  await Promise.all([used.leave(), used.use()]);
  assert.deepEqual(events, ['open']);
});

test('every use hears that it cannot be opened, and the next one tries again', async () => {
  const state = { broken: true };
  const { events, used } = door(state);
  const results = await Promise.allSettled([used.use(), used.use()]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  state.broken = false;
  await used.use();
  await used.leave();
  assert.deepEqual(events, ['open', 'closed']);
});

test('disposing closes it whoever uses it', async () => {
  const { events, used } = door();
  await used.use();
  await used[Symbol.asyncDispose]();
  assert.deepEqual(events, ['open', 'closed']);
});
