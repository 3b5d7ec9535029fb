import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startFaultProxy, type FaultProxy } from '../support/acme-fault-proxy.ts';
import { problem } from '../support/acme-faults.ts';
import { acmeLab, type AcmeLab } from '../support/acme-lab.ts';
import { PODSERVE, start } from '../support/command.ts';
import { startPebble } from '../support/daemons/pebble.ts';
import { fakeTime } from '../support/fake-time.ts';
import { scaled } from '../support/scale.ts';
import { freePort } from '../support/scratch.ts';

const RESTARTS = scaled(100);
const MINUTE = 60_000;

interface Failing {
  readonly lab: AcmeLab;
  readonly proxy: FaultProxy;
}

/** Starts the container's command, lets it do its first pass, and takes it away as an orchestrator that is out of patience does. */
async function restart({ lab, proxy }: Failing, aheadMs: number): Promise<string> {
  const ends: (() => unknown)[] = [];
  const env = aheadMs === 0 ? {} : fakeTime(`+${Math.round(aheadMs / 1000)}s`);
  const cron = start({ after: (end) => ends.push(end as () => unknown) }, PODSERVE, lab.args('cron'), { cwd: lab.cwd, env });
  await cron.says(/\n/);
  const quiet = (): boolean => Date.now() - Math.max(began, proxy.seen.at(-1)?.at ?? 0) > 600;
  const began = Date.now();
  while (!quiet()) await new Promise((resolve) => setTimeout(resolve, 50));
  cron.child.kill('SIGTERM');
  for (const end of ends) await end();
  return cron.output();
}

async function failingLab(t: Parameters<typeof startPebble>[0]): Promise<Failing> {
  const pebble = await startPebble(t, { nonceReject: 0 });
  const proxy = await startFaultProxy(t, pebble);
  const lab = await acmeLab(t, pebble, proxy, { config: { certificateService: { status: `127.0.0.1:${await freePort()}` } } });
  proxy.fault({ on: 'newOrder', fault: problem(500, 'serverInternal', 'always down') });
  return { lab, proxy };
}

test(`${RESTARTS} restarts in a row of a container whose server always fails: one order a step of the back-off, one account`, async (t) => {
  const failing = await failingLab(t);
  const { lab, proxy } = failing;
  const began = Date.now();
  for (let number = 0; number < RESTARTS; number += 1) await restart(failing, 0);
  const tookMinutes = (Date.now() - began) / MINUTE;
  const orders = proxy.count('newOrder');
  // The first at once, the second after a minute, the third ten later.
  const allowed = 1 + [1, 11].filter((after) => tookMinutes >= after).length;
  console.log(`# ${RESTARTS} restarts in ${tookMinutes.toFixed(1)} minutes: ${orders} orders, ${proxy.seen.length} requests`);
  assert.ok(orders >= 1 && orders <= allowed, `${orders} orders, ${allowed} allowed`);
  assert.equal(proxy.seen.filter(({ kind, status }) => kind === 'newAccount' && status === 201).length, 1);
  assert.equal((await lab.current())?.manifest.placeholder, true, 'a placeholder is served meanwhile');
});

test(`${RESTARTS} restarts over two days: as many orders as 1, 10, 100 minutes and then a day allow`, async (t) => {
  const failing = await failingLab(t);
  const { lab, proxy } = failing;
  const step = (2 * 24 * 60 * MINUTE) / RESTARTS;
  for (let number = 0; number < RESTARTS; number += 1) {
    const output = await restart(failing, number * step);
    assert.doesNotMatch(output, /CLOCK_BEHIND/, output);
  }
  const orders = proxy.count('newOrder');
  const failure = lab.ledger((ledger) => ledger.failure('default'));
  console.log(`# ${RESTARTS} restarts over two days: ${orders} orders, ${failure?.count} failures on record`);
  // At 0, 1, 11 and 111 minutes at the earliest, then daily: five, and one more where the second day has room for it.
  assert.ok(orders >= 4 && orders <= 6, `${orders} orders`);
  assert.equal(failure?.count, orders, 'each is on record');
  assert.ok(proxy.seen.length <= 12 * orders, `${proxy.seen.length} requests`);
});
