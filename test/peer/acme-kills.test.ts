import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { startFaultProxy, type FaultProxy, type Reply } from '../support/acme-fault-proxy.ts';
import { acmeLab } from '../support/acme-lab.ts';
import { PODSERVE } from '../support/command.ts';
import { startPebble, type Pebble } from '../support/daemons/pebble.ts';
import { randomStream, scaled } from '../support/scale.ts';

/** What the server did, in order, for whoever reads why a round failed. */
function story(proxy: FaultProxy): string {
  return proxy.seen.map(({ kind, status, problem }) => `${kind} ${status} ${problem ?? ''}`.trimEnd()).join('\n');
}

function succeeded(proxy: FaultProxy, kind: 'newAccount' | 'newOrder' | 'finalize', status: number): number {
  return proxy.seen.filter((one) => one.kind === kind && one.status === status).length;
}

/** Kills when the server has answered the n-th request, before the client has the answer. */
function killAt(proxy: FaultProxy, kill: () => void, request: number): void {
  const change = (reply: Reply): Reply => {
    kill();
    return reply;
  };
  proxy.fault({ on: 'all', from: request, times: 1, fault: { do: 'change', change } });
}

/** The run ends first. */
function forever(): Promise<never> {
  return new Promise(() => undefined);
}

interface Ground {
  readonly pebble: Pebble;
  readonly proxy: FaultProxy;
  /** How long the whole run took, ms, and how many requests. */
  readonly usual: number;
  readonly requests: number;
}

async function ground(t: TestContext): Promise<Ground> {
  const pebble = await startPebble(t, { authzReuse: 0, nonceReject: 0 });
  const proxy = await startFaultProxy(t, pebble);
  const warm = await acmeLab(t, pebble, proxy);
  const began = performance.now();
  const { code, stderr } = await warm.certificates('renew');
  assert.equal(code, 0, stderr);
  return { pebble, proxy, usual: performance.now() - began, requests: proxy.seen.length };
}

interface Round {
  readonly killed: boolean;
  /** How long the run took, ms. */
  readonly took: number;
  /** Orders that the server had made when the run was killed, and in the end. */
  readonly ordersBefore: number;
  readonly orders: number;
  readonly certificates: number;
}

/** On a new machine: a run that is killed, and one that is not, after which everything has to be as it should. */
async function killOnce(t: TestContext, { pebble, proxy }: Ground, aim: (kill: () => void) => Promise<unknown>): Promise<Round> {
  const lab = await acmeLab(t, pebble, proxy);
  proxy.clear();
  const child = spawn(PODSERVE, lab.args('renew'), { cwd: lab.cwd, stdio: 'ignore' });
  const began = performance.now();
  const ended = once(child, 'close');
  await Promise.race([ended, aim(() => child.kill('SIGKILL'))]);
  const [, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  const took = performance.now() - began;
  const ordersBefore = succeeded(proxy, 'newOrder', 201);
  const again = await lab.certificates('renew');
  const where = `killed after ${ordersBefore} orders:\n${again.stdout}${again.stderr}\n${story(proxy)}`;
  assert.equal(again.code, 0, where);
  const current = await lab.current();
  assert.ok(current !== undefined && current.manifest.issuer === 'pebble', where);
  assert.equal((await pebble.status(current.manifest.serial))?.status, 'Valid', where);
  assert.equal(succeeded(proxy, 'newAccount', 201), 1, `one account, ${where}`);
  const [orders, certificates] = [succeeded(proxy, 'newOrder', 201), succeeded(proxy, 'finalize', 200)];
  assert.ok(orders <= 2, `${orders} orders, ${where}`);
  assert.ok(certificates <= 2, `${certificates} certificates, ${where}`);
  // A half-written file goes when it is old enough to be nobody's.
  const left = lab.ordersUnderWay().filter((file) => !file.includes('.tmp-'));
  assert.deepEqual(left, [], where);
  const heard = proxy.seen.length;
  const idle = await lab.certificates('renew');
  assert.equal(idle.code, 0, idle.stderr);
  assert.equal(proxy.seen.length, heard, `nothing more was due, ${where}`);
  assert.equal((await lab.certificates('check')).code, 0, where);
  return { killed: signal === 'SIGKILL', took, ordersBefore, orders, certificates };
}

test('kill -9 when the server has done what a request asked and nobody has heard of it, for each request of an order', async (t) => {
  const place = await ground(t);
  const { proxy, requests } = place;
  for (let request = 1; request <= requests; request += 1) {
    const round = await killOnce(t, place, async (kill) => {
      killAt(proxy, kill, request);
      await forever();
    });
    assert.ok(round.killed, `request ${request} was not reached`);
    // The order and its key are kept before anything is signed for them.
    assert.equal(round.certificates, 1, `killed at request ${request}: a certificate too many`);
  }
});

const KILLS = scaled(200);
/** No single test shall take longer than the runner allows, on a busy machine either. */
const AT_A_TIME = 25;

for (let from = 0; from < KILLS; from += AT_A_TIME) {
  const kills = Math.min(AT_A_TIME, KILLS - from);
  const which = `${from + 1} to ${from + kills}`;
  test(`kill -9 at random moments of an order, ${which}: one account, no lost key, no stuck order, no certificate too many`, async (t) => {
    const place = await ground(t);
    const random = randomStream(`killed orders ${which}`);
    const tally = { killed: 0, finished: 0, resumed: 0, ordersTooMany: 0, certificatesTooMany: 0 };
    let { usual } = place;
    while (tally.killed < kills) {
      assert.ok(tally.finished < 5 * kills, `the kills miss the runs: ${JSON.stringify(tally)}`);
      // The first part of a run is Node's own start.
      const moment = usual * (0.5 + 0.9 * random());
      const round = await killOnce(t, place, (kill) => pause(moment).then(kill));
      if (round.killed) tally.killed += 1;
      else {
        tally.finished += 1;
        // Other work on the machine comes and goes.
        usual = round.took;
      }
      if (round.killed && round.ordersBefore === 1 && round.orders === 1) tally.resumed += 1;
      if (round.orders > 1) tally.ordersTooMany += 1;
      if (round.certificates > 1) tally.certificatesTooMany += 1;
    }
    console.log(`# ${JSON.stringify(tally)}, a run takes ${Math.round(usual)} ms`);
    assert.equal(tally.certificatesTooMany, 0, 'the order and its key are kept before anything is signed for them');
    assert.ok(tally.resumed > 0, 'some kills hit an order half-way, and the next run went on with it');
  });
}
