import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { leafSha256 } from '../../src/certificate/bundle.ts';
import { parseEndpoint } from '../../src/delivery/endpoint.ts';
import { servedLeafSha256 } from '../../src/delivery/probe.ts';
import { startFaultProxy } from '../support/acme-fault-proxy.ts';
import { acmeLab, type AcmeLab } from '../support/acme-lab.ts';
import { PODSERVE, start, type Running } from '../support/command.ts';
import { startPebble, type Pebble } from '../support/daemons/pebble.ts';
import { freePort } from '../support/scratch.ts';

interface Stack {
  readonly lab: AcmeLab;
  readonly pebble: Pebble;
  /** Fingerprint of the leaf that Apache serves, or why none. */
  readonly served: () => Promise<string>;
  readonly startApache: () => Running;
  readonly startCertificates: () => Running;
}

/** Certificates and Apache on one state directory; Pebble looks for http-01 where this Apache listens in plain HTTP. */
async function stack(t: TestContext): Promise<Stack> {
  const pebble = await startPebble(t, { authzReuse: 0 });
  const [https, status, own] = [await freePort(), await freePort(), await freePort()];
  const url = `https://127.0.0.1:${https}`;
  const lab = await acmeLab(t, pebble, pebble, {
    issuer: { challenge: 'http-01' },
    certificate: { consumers: ['apache'] },
    config: {
      apache: { http: `127.0.0.1:${pebble.httpPort}`, https: `127.0.0.1:${https}`, status: `127.0.0.1:${status}` },
      certificateService: { status: `127.0.0.1:${own}` },
    },
  });
  // Apache's workers are another user when root runs the tests.
  chmodSync(lab.cwd, 0o711);
  const state = ['--state', lab.state];
  return {
    lab,
    pebble,
    served: () => servedLeafSha256(parseEndpoint(url), { servername: 'a.lab.test', timeoutMs: 3000 }).catch(String),
    startApache: () => start(t, PODSERVE, ['apache', ...state, '--run', join(lab.cwd, 'run')], { cwd: lab.cwd }),
    startCertificates: () => start(t, PODSERVE, lab.args('cron'), { cwd: lab.cwd }),
  };
}

async function until(wish: () => Promise<boolean>, what: () => string, ms = 20_000): Promise<void> {
  for (const deadline = Date.now() + ms; Date.now() < deadline; await setTimeout(30)) if (await wish()) return;
  assert.fail(`within ${ms} ms it did not come about that ${what()}`);
}

async function currentIsServed({ lab, served }: Stack, issuer: string): Promise<boolean> {
  const current = await lab.current();
  return current?.manifest.issuer === issuer && leafSha256(current.bundle.leaf) === (await served());
}

test('a new stack boots on the placeholder, answers the challenge with its own Apache, and serves the real certificate by itself', async (t) => {
  const one = await stack(t);
  const apache = one.startApache();
  const certificates = one.startCertificates();
  const seen = new Set<string>();
  await until(
    async () => {
      const current = await one.lab.current();
      if (current !== undefined) seen.add(`${current.manifest.issuer}${current.manifest.placeholder ? ' placeholder' : ''}`);
      return currentIsServed(one, 'pebble');
    },
    () => `Pebble's certificate is served; Apache: ${apache.output()}; certificates: ${certificates.output()}`,
    50_000,
  );
  await until(
    async () =>
      one.lab.ledger((ledger) => ledger.deliveries('default').some(({ state, generation }) => state === 'served' && generation > 1)),
    () => 'it is on record that the real certificate was seen served',
  );
  assert.deepEqual([...seen].at(-1), 'pebble');
  assert.deepEqual(one.lab.ledger((ledger) => ledger.events().map(({ kind }) => kind)).includes('placeholder'), true);
});

test('an order whose challenge cannot be answered is made again by itself, at the time that the ledger names', async (t) => {
  const pebble = await startPebble(t, { authzReuse: 0 });
  const listen = `127.0.0.1:${await freePort()}`;
  const lab = await acmeLab(t, pebble, pebble, { issuer: { challenge: 'http-01', http01: { listen } }, config: await ownStatusPort() });
  const certificates = start(t, PODSERVE, lab.args('cron'), { cwd: lab.cwd });
  await until(
    async () => lab.ledger((ledger) => ledger.failure('default') !== undefined),
    () => `the order failed: ${certificates.output()}`,
  );
  const failure = lab.ledger((ledger) => ledger.failure('default'));
  assert.equal(failure?.kind, 'challenge');
  assert.match(failure.message, /a\.lab\.test/);
  assert.ok(failure.retryAt - failure.at >= 60_000 && failure.retryAt - failure.at <= 72_000);
  assert.equal((await lab.current())?.manifest.placeholder, true);
  assert.deepEqual(lab.ordersUnderWay(), []);
});

test('SIGTERM in the middle of an order ends the service within 5 s, and the next start goes on with the same order', async (t) => {
  const pebble = await startPebble(t, { authzReuse: 0 });
  const proxy = await startFaultProxy(t, pebble);
  // A challenge that Pebble has heard of would turn invalid while nobody answers it, and the order with it.
  proxy.fault({ on: 'challenge', fault: { do: 'silence', unheard: true } });
  const lab = await acmeLab(t, pebble, proxy, { config: await ownStatusPort() });
  const first = start(t, PODSERVE, lab.args('cron'), { cwd: lab.cwd });
  await until(
    async () => proxy.count('challenge') > 0,
    () => `a challenge is answered: ${first.output()}`,
  );
  const begun = performance.now();
  first.child.kill('SIGTERM');
  await first.done;
  assert.ok(performance.now() - begun < 5000);
  assert.equal((await lab.current())?.manifest.placeholder, true, 'the order was over already: nothing is proven');
  proxy.clear();
  const second = start(t, PODSERVE, lab.args('cron'), { cwd: lab.cwd });
  await until(
    async () => (await lab.current())?.manifest.issuer === 'pebble',
    () => `Pebble's certificate is published: ${second.output()}`,
    40_000,
  );
  assert.equal(ordersPlaced(lab), 1);
});

async function ownStatusPort(): Promise<Record<string, unknown>> {
  return { certificateService: { status: `127.0.0.1:${await freePort()}` } };
}

function ordersPlaced(lab: AcmeLab): number {
  return lab.ledger((ledger) => ledger.uses('pebble', 0).filter(({ kind }) => kind === 'order').length);
}
