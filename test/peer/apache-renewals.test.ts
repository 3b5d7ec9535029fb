import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import type { Bundle } from '../../src/certificate/bundle.ts';
import { lockPublication } from '../../src/publication/lock.ts';
import { publish } from '../../src/publication/publish.ts';
import { apacheStack, fingerprint, newBundle, type Stack } from '../support/apache.ts';
import { startLoad } from '../support/load.ts';
import { scaled } from '../support/scale.ts';

const PUBLISHER = { host: 'test', command: 'test', version: '0' };

test('renewals under load break no request, and each is served within a second', async (t) => {
  const stack = await apacheStack(t, { sites: [{ certificate: 'default', root: 'www' }] });
  const large = randomBytes(64 * 1024 * 1024);
  mkdirSync(join(stack.directory, 'www'));
  writeFileSync(join(stack.directory, 'www/large.bin'), large);
  writeFileSync(join(stack.directory, 'www/small.txt'), 'small');
  await publishAll(stack, [['default', await newBundle()]]);
  const apache = stack.start();
  await stack.until(({ ready }) => ready);

  const renewals = scaled(100);
  const bundles = await Promise.all(Array.from({ length: renewals }, () => newBundle()));
  const load = await startLoad(t, { port: stack.https, connections: 4, keepAlive: 4, small: '/small.txt', large: '/large.bin' });
  const took: number[] = [];
  for (const bundle of bundles) {
    await publishAll(stack, [['default', bundle]]);
    took.push(await untilServed(stack, 'default', 'localhost', bundle));
    await stack.until(
      ({ certificates }) => certificates[0]?.state === 'served' && certificates[0].served?.leafSha256 === fingerprint(bundle),
    );
  }
  const counts = await load.stop();
  t.diagnostic(
    `${renewals} renewals: rename to served median ${median(took).toFixed(0)} ms, maximum ${Math.max(...took).toFixed(0)} ms; ` +
      `${counts.newConnections} new connections, ${counts.keptRequests} requests on kept ones, ${counts.failures.length} failed, ` +
      `${counts.retried} sent again because an idle connection was closed`,
  );
  assert.deepEqual(counts.failures, []);
  assert.deepEqual(counts.download, { bytes: large.length, sha256: createHash('sha256').update(large).digest('hex') });
  assert.ok(counts.newConnections > renewals && counts.keptRequests > renewals, 'there was hardly any load');
  assert.ok(Math.max(...took) < 1000, `the slowest took ${Math.max(...took)} ms`);
  const { daemons } = await stack.report();
  assert.equal(daemons[0]?.restarts, 0);
  apache.child.kill('SIGTERM');
  assert.equal((await apache.done).code, 0);
});

test('certificates that are renewed together go into few reloads, and all are served', async (t) => {
  const names = Array.from({ length: scaled(100) }, (_, index) => `site-${index}`);
  const certificates = Object.fromEntries(names.map((name) => [name, [`${name}.example.org`]]));
  const stack = await apacheStack(t, {
    certificates: { default: ['localhost'], ...certificates },
    sites: ['default', ...names].map((certificate) => ({ certificate })),
  });
  const make = (): Promise<[string, Bundle][]> =>
    Promise.all(names.map(async (name): Promise<[string, Bundle]> => [name, await newBundle([`${name}.example.org`])]));
  await publishAll(stack, [['default', await newBundle()], ...(await make())]);
  stack.start();
  await stack.until(({ ready }) => ready, 30_000);
  const before = await reloads(stack);

  const renewed = await make();
  await publishAll(stack, renewed);
  await stack.until(
    ({ certificates: all }) =>
      renewed.every(([name, bundle]) =>
        all.some((one) => one.name === name && one.state === 'served' && one.served?.leafSha256 === fingerprint(bundle)),
      ),
    30_000,
  );
  const needed = (await reloads(stack)) - before;
  const { certificates: all } = await stack.report();
  const served = all.flatMap(({ servedAfterMs }) => servedAfterMs ?? []);
  t.diagnostic(`${names.length} renewals at once: ${needed} reloads, rename to served at most ${Math.max(...served).toFixed(0)} ms`);
  assert.ok(needed <= Math.ceil(names.length / 10) + 2, `${names.length} renewals took ${needed} reloads`);
  for (const [name, bundle] of renewed) assert.equal(await stack.served(`${name}.example.org`), fingerprint(bundle));
});

async function publishAll(stack: Stack, bundles: readonly (readonly [string, Bundle])[]): Promise<void> {
  await using lock = await lockPublication(stack.root, { publisher: PUBLISHER, waitMs: 5000 });
  await Promise.all(
    bundles.map(([name, bundle]) =>
      publish(lock, {
        name,
        bundle,
        issuer: 'self-signed',
        origin: 'issued',
        placeholder: false,
        now: Date.now(),
        publisher: PUBLISHER,
        keyGid: process.getegid?.() ?? 0,
      }),
    ),
  );
}

/** From the rename to our own first handshake that shows the bundle, ms. */
async function untilServed(stack: Stack, name: string, servername: string, bundle: Bundle): Promise<number> {
  const renamed = lstatSync(join(stack.root, name, '..data')).ctimeMs;
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await setTimeout(2)) {
    if ((await stack.served(servername)) === fingerprint(bundle)) return Date.now() - renamed;
  }
  throw new Error('the new certificate was not served within 10 s');
}

async function reloads(stack: Stack): Promise<number> {
  const { text } = await stack.get('/metrics');
  return Number(/^podserve_reloads_total\{.*\} (\d+)$/m.exec(text)?.[1]);
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}
