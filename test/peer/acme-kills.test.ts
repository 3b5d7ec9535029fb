import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { startFaultProxy, type FaultProxy, type Reply } from '../support/acme-fault-proxy.ts';
import { acmeLab } from '../support/acme-lab.ts';
import { PODSERVE } from '../support/command.ts';
import { startPebble } from '../support/daemons/pebble.ts';
import { randomStream, scaled } from '../support/scale.ts';

/** What the server did, in order, for whoever reads why a round failed. */
function story(proxy: FaultProxy): string {
  return proxy.seen.map(({ kind, status, problem }) => `${kind} ${status} ${problem ?? ''}`.trimEnd()).join('\n');
}

function succeeded(proxy: FaultProxy, kind: 'newAccount' | 'newOrder' | 'finalize', status: number): number {
  return proxy.seen.filter((one) => one.kind === kind && one.status === status).length;
}

/** Kills at the n-th request: before the server hears it, or when the server has answered and the client not heard of it. */
function killAt(proxy: FaultProxy, kill: () => void, request: number, unheard: boolean): void {
  const change = (reply: Reply): Reply => {
    kill();
    return reply;
  };
  const rule = { on: 'all', from: request, times: 1 } as const;
  if (unheard) proxy.fault({ ...rule, fault: { do: 'drop', unheard, after: kill } });
  else proxy.fault({ ...rule, fault: { do: 'change', change } });
}

test('kill -9 at random moments of an order: one account, no lost key, no stuck order, at most one certificate too many', async (t) => {
  const pebble = await startPebble(t, { authzReuse: 0 });
  const proxy = await startFaultProxy(t, pebble);
  const warm = await acmeLab(t, pebble, proxy);
  const began = performance.now();
  const first = await warm.certificates('renew');
  const usual = performance.now() - began;
  assert.equal(first.code, 0, first.stderr);
  const usualRequests = proxy.seen.length;
  const random = randomStream('killed orders');
  const kills = scaled(200);
  const tally = { killed: 0, finished: 0, beforeOrder: 0, resumed: 0, ordersTooMany: 0, certificatesTooMany: 0 };
  for (let round = 0; tally.killed < kills; round += 1) {
    assert.ok(round < 5 * kills, `the kills miss the runs: ${JSON.stringify(tally)}`);
    // A new machine each time: the account, too, is made under the kills.
    const lab = await acmeLab(t, pebble, proxy);
    proxy.clear();
    const child = spawn(PODSERVE, lab.args('renew'), { cwd: lab.cwd, stdio: 'ignore' });
    const ended = once(child, 'close');
    // Half of the kills are aimed at what the server hears, the others fall anywhere after Node's own start.
    if (round % 2 === 0) killAt(proxy, () => child.kill('SIGKILL'), Math.ceil(random() * usualRequests), random() < 0.5);
    else await Promise.race([ended, pause(usual * (0.4 + 0.7 * random()))]).then(() => child.kill('SIGKILL'));
    const [, signal] = (await ended) as [number | null, NodeJS.Signals | null];
    if (signal === 'SIGKILL') tally.killed += 1;
    else tally.finished += 1;
    const before = { orders: succeeded(proxy, 'newOrder', 201), finalized: succeeded(proxy, 'finalize', 200) };
    const publishedBefore = (await lab.current())?.manifest.issuer === 'pebble';
    const again = await lab.certificates('renew');
    const where = `round ${round}, killed after ${before.orders} orders, ${before.finalized} finalized:\n${again.stdout}${again.stderr}\n${story(proxy)}`;
    assert.equal(again.code, 0, where);
    const current = await lab.current();
    assert.ok(current !== undefined && current.manifest.issuer === 'pebble', where);
    assert.equal((await pebble.status(current.manifest.serial))?.status, 'Valid', where);
    assert.equal(succeeded(proxy, 'newAccount', 201), 1, `one account, ${where}`);
    const orders = succeeded(proxy, 'newOrder', 201);
    const certificates = succeeded(proxy, 'finalize', 200);
    assert.ok(orders <= 2, `${orders} orders, ${where}`);
    assert.ok(certificates <= 2, `${certificates} certificates, ${where}`);
    // A half-written file goes when it is old enough to be nobody's.
    assert.deepEqual(
      lab.ordersUnderWay().filter((file) => !file.includes('.tmp-')),
      [],
      where,
    );
    assert.equal((await lab.certificates('check')).code, 0, where);
    if (before.orders === 0) tally.beforeOrder += 1;
    if (before.orders === 1 && orders === 1 && !publishedBefore) tally.resumed += 1;
    if (orders === 2) tally.ordersTooMany += 1;
    if (certificates === 2) tally.certificatesTooMany += 1;
    const idle = proxy.seen.length;
    assert.equal((await lab.certificates('renew')).code, 0, where);
    assert.equal(proxy.seen.length, idle, `nothing more was due, ${where}`);
  }
  console.log(`# ${JSON.stringify(tally)}, a run takes ${Math.round(usual)} ms`);
  assert.ok(tally.resumed > 0, 'some kills hit an order half-way, and the next run went on with it');
});
