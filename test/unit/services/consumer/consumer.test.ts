import assert from 'node:assert/strict';
import { readFileSync, mkdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { createSecureContext, createServer, type SecureContext, type Server } from 'node:tls';

import { parseIdentifiers } from '../../../../src/certificate/identifier.ts';
import { parseEndpoint } from '../../../../src/delivery/endpoint.ts';
import { ProbeFailure } from '../../../../src/delivery/failure.ts';
import { verifyServed, type Verified, type VerifyTarget } from '../../../../src/delivery/verify.ts';
import { systemClock } from '../../../../src/platform/clock.ts';
import { silentLog } from '../../../../src/platform/log.ts';
import { startConsumer, type Consumer, type ConsumerReport } from '../../../../src/services/consumer.ts';
import { openHold } from '../../../../src/services/consumer/hold.ts';
import type { HeldCertificates, TlsService } from '../../../../src/services/service.ts';
import { fingerprint, newBundle } from '../../../support/apache.ts';
import { publishByHand } from '../../../support/hand-publication.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

/** A service whose daemon is a TLS server in this process, which can be told to misbehave. */
interface Rig {
  readonly root: string;
  readonly hold: string;
  readonly consumer: Consumer;
  /** What each `apply` was asked for: generations by name. */
  readonly applied: Record<string, number>[];
  /** Leaves that the daemon dies of, and those that it takes without serving them. */
  readonly deadly: Set<string>;
  readonly ignored: Set<string>;
  /** Leaves for which no handshake is answered in time. */
  readonly late: Set<string>;
  readonly until: (wish: (report: ConsumerReport) => boolean) => Promise<ConsumerReport>;
}

/** @param needed the certificate without which the daemon is not started */
async function rig(
  t: TestContext,
  names: readonly string[],
  prepare: (root: string, deadly: Set<string>) => Promise<void>,
  needed?: string,
): Promise<Rig> {
  const directory = scratchDirectory(t);
  const [root, hold] = [join(directory, 'certificates'), join(directory, 'hold')];
  mkdirSync(root);
  mkdirSync(hold);
  const applied: Record<string, number>[] = [];
  const [deadly, ignored, late] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const contexts = new Map<string, SecureContext>();
  const server = await listen(t, contexts);
  const endpoint = parseEndpoint(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const service: TlsService = {
    name: 'test',
    wanted: () => names.map((name) => ({ name, identifiers: parseIdentifiers([`${name}.example`]) })),
    async apply(held: HeldCertificates) {
      if (needed !== undefined && !held.has(needed)) return;
      applied.push(Object.fromEntries([...held].map(([name, { generation }]) => [name, generation])));
      if ([...held.values()].some(({ leafSha256 }) => deadly.has(leafSha256))) throw new Error('the daemon died of it');
      for (const { name, file, leafSha256 } of held.values()) {
        if (ignored.has(leafSha256)) continue;
        const pem = readFileSync(file, 'utf8');
        contexts.set(`${name}.example`, createSecureContext({ key: pem, cert: pem }));
      }
    },
    servedAt: (held) =>
      [...(needed === undefined || held.has(needed) ? held.keys() : [])].map((name) => ({
        endpoint,
        servername: `${name}.example`,
        certificate: name,
      })),
    daemons: () => [],
  };
  await prepare(root, deadly);
  const consumer = startConsumer({
    service,
    root,
    hold: openHold(hold),
    clock: systemClock,
    log: silentLog,
    async verify(targets, options) {
      if (targets.some(({ leafSha256 }) => late.has(leafSha256))) return targets.map(tooLate);
      return verifyServed(targets, { ...options, deadlineMs: 150 });
    },
  });
  t.after(() => consumer[Symbol.asyncDispose]());
  await consumer.started;
  return {
    root,
    hold,
    consumer,
    applied,
    deadly,
    ignored,
    late,
    async until(wish) {
      for (let waited = 0; waited < 10_000; waited += 10) {
        if (wish(consumer.report())) return consumer.report();
        await setTimeout(10);
      }
      throw new Error(`not as wished: ${JSON.stringify(consumer.report())}`);
    },
  };
}

function tooLate(target: VerifyTarget): Verified {
  const failure = new ProbeFailure(target.endpoint, 'greeting', { why: 'no answer', remedy: 'wait', afterMs: 1000, timedOut: true });
  return { target, served: false, saw: undefined, failure, afterMs: 1000, attempts: 1 };
}

async function listen(t: TestContext, contexts: ReadonlyMap<string, SecureContext>): Promise<Server> {
  const server = createServer({ SNICallback: (name, answer) => answer(null, contexts.get(name)) }, (socket) => {
    socket.on('error', () => undefined);
    socket.end();
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return server;
}

test('one that is not served is taken back, remembered, and not tried in a loop', async (t) => {
  const [old, bad, next] = [await newBundle(['a.example']), await newBundle(['a.example']), await newBundle(['a.example'])];
  const { root, hold, ignored, applied, until } = await rig(t, ['a'], async (at) => publishByHand(at, 'a', 1, old));
  await until(({ ready }) => ready);
  ignored.add(fingerprint(bad));
  publishByHand(root, 'a', 2, bad);
  const { certificates, reasons, tally } = await until(
    (report) => report.certificates[0]?.state === 'rejected' && report.certificates[0].served !== null,
  );
  assert.equal(certificates[0]?.served?.leafSha256, fingerprint(old));
  assert.match(reasons.join(), /generation 2: another certificate is served.*generation 1 is still served/);
  assert.match(readFileSync(join(hold, 'a.pem'), 'utf8'), new RegExp(old.leafPem.slice(30, 90).trim().replaceAll(/[+/]/g, '.')));
  assert.deepEqual(applied, [{ a: 1 }, { a: 2 }, { a: 1 }]);
  await setTimeout(200);
  assert.equal(tally.reloads, applied.length);
  publishByHand(root, 'a', 3, next);
  await until(({ ready }) => ready);
  assert.equal(applied.at(-1)?.['a'], 3);
});

test('one that was only not seen in time is taken back and soon tried again, and what is served then is looked at until it is seen', async (t) => {
  const [old, next] = [await newBundle(['a.example']), await newBundle(['a.example'])];
  const { root, late, applied, until } = await rig(t, ['a'], async (at) => publishByHand(at, 'a', 1, old));
  await until(({ ready }) => ready);
  for (const bundle of [old, next]) late.add(fingerprint(bundle));
  publishByHand(root, 'a', 2, next);
  await until(({ certificates }) => certificates[0]?.state === 'rejected' && certificates[0].served === null);
  late.delete(fingerprint(old));
  await until(({ certificates }) => certificates[0]?.served?.leafSha256 === fingerprint(old));
  late.clear();
  await until(({ ready }) => ready);
  assert.deepEqual(applied, [{ a: 1 }, { a: 2 }, { a: 1 }, { a: 2 }]);
});

test('one that comes before the one that the service starts with waits for it, and both are served at once', async (t) => {
  const [a, b] = [await newBundle(['a.example']), await newBundle(['b.example'])];
  const { root, applied, until } = await rig(t, ['a', 'b'], async (at) => publishByHand(at, 'b', 1, b), 'a');
  const { certificates } = await until((report) => report.certificates[1]?.state === 'pending');
  assert.equal(certificates[1]?.reason, 'test serves it nowhere yet');
  publishByHand(root, 'a', 1, a);
  const { tally } = await until(({ ready }) => ready);
  assert.equal(tally.refusals, 0);
  assert.deepEqual(applied, [{ a: 1, b: 1 }]);
});

test('one that the daemon dies of is taken back without holding up those that came with it', async (t) => {
  const names = ['a', 'b', 'c'];
  const bundles = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await newBundle([`${name}.example`])] as const)));
  const { root, deadly, consumer, until } = await rig(t, names, async (at) => {
    for (const name of names) publishByHand(at, name, 1, await newBundle([`${name}.example`]));
  });
  await until(({ ready }) => ready);
  const bad = bundles['b'];
  assert.ok(bad);
  deadly.add(fingerprint(bad));
  for (const [name, bundle] of Object.entries(bundles)) publishByHand(root, name, 2, bundle);
  const { certificates } = await until(
    (report) => report.certificates.every(({ state }) => state !== 'pending') && report.tally.refusals === 1,
  );
  assert.deepEqual(
    certificates.map(({ name, state, served }) => [name, state, served?.generation]),
    [
      ['a', 'served', 2],
      ['b', 'rejected', 1],
      ['c', 'served', 2],
    ],
  );
  assert.match(consumer.report().reasons.join(), /the daemon died of it/);
});

test('at a cold start one that the daemon dies of gives way to the kept ones, newest first', async (t) => {
  const [oldest, kept, bad] = [await newBundle(['a.example']), await newBundle(['a.example']), await newBundle(['a.example'])];
  const { until, applied } = await rig(t, ['a'], async (at, deadly) => {
    publishByHand(at, 'a', 1, oldest);
    publishByHand(at, 'a', 2, kept);
    publishByHand(at, 'a', 3, bad);
    deadly.add(fingerprint(bad));
  });
  const { certificates } = await until((report) => report.certificates[0]?.served?.generation === 2);
  assert.equal(certificates[0]?.state, 'rejected');
  assert.deepEqual(applied, [{ a: 3 }, {}, { a: 2 }]);
});

test('certificates that change at once are applied at once', async (t) => {
  const names = Array.from({ length: 20 }, (_, index) => `n${index}`);
  const made = await Promise.all(names.map((name) => newBundle([`${name}.example`])));
  const { root, applied, until } = await rig(t, names, async (at) => {
    for (const name of names) publishByHand(at, name, 1, await newBundle([`${name}.example`]));
  });
  await until(({ ready }) => ready);
  const before = applied.length;
  for (const [index, name] of names.entries()) {
    const bundle = made[index];
    if (bundle !== undefined) publishByHand(root, name, 2, bundle);
  }
  await until(({ ready, certificates }) => ready && certificates.every(({ served }) => served?.generation === 2));
  assert.ok(applied.length - before <= 2, `${applied.length - before} reloads`);
});

test('a name that is not covered is served with the reason in the status', async (t) => {
  const { until } = await rig(t, ['a'], async (at) => publishByHand(at, 'a', 1, await newBundle(['b.example'])));
  const { certificates } = await until(({ ready }) => ready);
  assert.equal(certificates[0]?.reason, 'it is not for a.example');
});
