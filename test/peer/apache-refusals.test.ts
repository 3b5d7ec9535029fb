import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { parseBundle, type Bundle } from '../../src/certificate/bundle.ts';
import { DAY } from '../../src/platform/clock.ts';
import { apacheStack, fingerprint, newBundle, type Stack } from '../support/apache.ts';
import { publishByHand, type Damage } from '../support/hand-publication.ts';
import { opensslCa } from '../support/openssl-ca.ts';

/** Publishes a bad generation over a good one and proves that the good one is served on, loudly, until the next good one. */
async function refuses(t: TestContext, bad: Bundle, damage: Damage, why: RegExp): Promise<void> {
  const stack = await apacheStack(t);
  const good = await newBundle();
  publishByHand(stack.root, 'default', 1, good);
  stack.start();
  const { daemons } = await stack.until(({ ready }) => ready);
  const reloads = await reloadsOf(stack);

  publishByHand(stack.root, 'default', 2, bad, damage);
  const status = await stack.until(({ certificates }) => certificates[0]?.state === 'rejected');
  assert.match(status.certificates[0]?.reason ?? '', why);
  assert.equal(status.certificates[0]?.published?.generation, 2);
  assert.equal(status.certificates[0]?.served?.generation, 1);
  assert.equal(status.alarms.length, 1);
  const readyz = await stack.get('/readyz');
  assert.equal(readyz.code, 503);
  assert.match(readyz.text, why);
  assert.equal((await stack.get('/healthz')).code, 200);
  assert.equal(await reloadsOf(stack), reloads, 'Apache was reloaded');
  assert.equal(await stack.served(), fingerprint(good));

  const next = await newBundle();
  publishByHand(stack.root, 'default', 3, next);
  const after = await stack.until(({ ready }) => ready);
  assert.equal(after.certificates[0]?.served?.generation, 3);
  assert.equal(after.daemons[0]?.pid, daemons[0]?.pid, 'Apache was started again');
  assert.deepEqual(after.alarms, []);
  assert.equal((await stack.get('/readyz')).code, 200);
  assert.equal(await stack.served(), fingerprint(next));
}

test('a generation with the key of another certificate is never loaded', async (t) => {
  const other = await newBundle();
  await refuses(t, await newBundle(), { privateKeyPem: other.privateKeyPem }, /privkey\.pem.*key does not belong/);
});

test('a generation with a truncated chain is never loaded', async (t) => {
  const ca = await opensslCa(join((await apacheStack(t)).directory, 'ca'));
  const made = await ca.leaf('leaf', { names: ['localhost'] });
  const bundle = parseBundle(readFileSync(made.keyFile, 'utf8'), readFileSync(made.fullchainFile, 'utf8'));
  await refuses(t, bundle, { chainPem: bundle.chainPem.slice(0, bundle.chainPem.length / 2) }, /chain\.pem.*cut off/);
});

test('an expired generation never replaces one that is valid', async (t) => {
  await refuses(
    t,
    await newBundle(['localhost'], { from: -3 * DAY, lifetime: 2 * DAY }),
    {},
    /it expired at .*, and what is served is valid/,
  );
});

test('a generation from the future never replaces one that is valid', async (t) => {
  await refuses(t, await newBundle(['localhost'], { from: 2 * DAY }), {}, /not valid before/);
});

test('a half-made certificate file is never loaded', async (t) => {
  const bundle = await newBundle();
  await refuses(t, bundle, { privateKeyPem: bundle.privateKeyPem.slice(0, 100) }, /privkey\.pem/);
});

test('with only an expired certificate it is served, not ready, with an alarm, until a valid one comes', async (t) => {
  const stack = await apacheStack(t);
  const expired = await newBundle(['localhost'], { from: -3 * DAY, lifetime: 2 * DAY });
  publishByHand(stack.root, 'default', 1, expired);
  stack.start();
  const { alarms } = await stack.until(({ certificates }) => certificates[0]?.state === 'expired');
  assert.match(alarms.join(), /expired/);
  assert.equal((await stack.get('/readyz')).code, 503);
  assert.equal(await stack.served(), fingerprint(expired));
  const valid = await newBundle();
  publishByHand(stack.root, 'default', 2, valid);
  await stack.until(({ ready }) => ready);
  assert.equal(await stack.served(), fingerprint(valid));
});

test('started on a bad generation, the newest good one that is kept is served', async (t) => {
  const stack = await apacheStack(t);
  const [oldest, kept, expired] = [await newBundle(), await newBundle(), await newBundle(['localhost'], { from: -3 * DAY, lifetime: DAY })];
  publishByHand(stack.root, 'default', 1, oldest);
  publishByHand(stack.root, 'default', 2, kept);
  publishByHand(stack.root, 'default', 3, expired);
  publishByHand(stack.root, 'default', 4, await newBundle(), { privateKeyPem: oldest.privateKeyPem });
  stack.start();
  const { certificates } = await stack.until(({ certificates: all }) => all[0]?.state === 'rejected' && all[0].served !== null);
  assert.equal(certificates[0]?.served?.generation, 2);
  assert.equal(await stack.served(), fingerprint(kept));
});

test('without any certificate port 80 answers challenges, and HTTPS follows the first certificate', async (t) => {
  const stack = await apacheStack(t);
  writeFileSync(join(stack.state, 'challenges/token_1'), 'token_1.thumbprint');
  const apache = stack.start();
  await apache.says(/apache serves/);
  const challenge = await fetch(`http://127.0.0.1:${stack.http}/.well-known/acme-challenge/token_1`);
  assert.equal(await challenge.text(), 'token_1.thumbprint');
  assert.equal((await fetch(`http://127.0.0.1:${stack.http}/`)).status, 503);
  assert.match((await stack.report()).reasons.join(), /certificate default is missing: it is not published/);
  await assert.rejects(stack.served());
  const bundle = await newBundle();
  publishByHand(stack.root, 'default', 1, bundle);
  await stack.until(({ ready }) => ready);
  assert.equal(await stack.served(), fingerprint(bundle));
  assert.equal(
    (await fetch(`http://127.0.0.1:${stack.http}/a`, { redirect: 'manual' })).headers.get('location'),
    `https://127.0.0.1:${stack.https}/a`,
  );
});

test('a publication that is deleted is an alarm, and the last certificate is served on', async (t) => {
  const stack = await apacheStack(t);
  const bundle = await newBundle();
  publishByHand(stack.root, 'default', 1, bundle);
  stack.start();
  await stack.until(({ ready }) => ready);
  rmSync(stack.root, { recursive: true });
  const { alarms } = await stack.until(({ certificates }) => certificates[0]?.state === 'missing');
  assert.match(alarms.join('\n'), /certificate default is missing: it is not published; generation 1 is still served/);
  assert.equal(await stack.served(), fingerprint(bundle));
  mkdirSync(stack.root);
  const next = await newBundle();
  publishByHand(stack.root, 'default', 1, next);
  await stack.until(({ ready, alarms: left }) => ready && left.length === 0);
  assert.equal(await stack.served(), fingerprint(next));
});

test('no configuration, argument or open file of Apache is in the publication', async (t) => {
  const stack = await apacheStack(t);
  publishByHand(stack.root, 'default', 1, await newBundle());
  stack.start();
  await stack.until(({ ready }) => ready);
  publishByHand(stack.root, 'default', 2, await newBundle());
  await stack.until(({ ready, certificates }) => ready && certificates[0]?.served?.generation === 2);
  assert.ok(!readFileSync(join(stack.run, 'httpd.conf'), 'utf8').includes(stack.root));
  const master = (await stack.report()).daemons[0]?.pid ?? 0;
  // Workers of before the reload may be ending while they are looked at.
  await setTimeout(1000);
  const processes = [master, ...childrenOf(master)];
  assert.ok(processes.length > 1, 'Apache has no workers');
  const open = processes.flatMap((pid) => readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)));
  assert.ok(
    open.some((file) => file.startsWith(stack.run)),
    open.join(),
  );
  for (const pid of processes) for (const file of ['cmdline', 'maps', 'environ']) open.push(readFileSync(`/proc/${pid}/${file}`, 'utf8'));
  assert.deepEqual(
    open.filter((text) => text.includes(stack.root)),
    [],
  );
});

test('a copy that somebody damages in the runtime directory is made again before Apache reads it', async (t) => {
  const certificates = { default: ['localhost'], two: ['two.example.org'] };
  const stack = await apacheStack(t, { certificates, sites: [{ certificate: 'default' }, { certificate: 'two' }] });
  publishByHand(stack.root, 'default', 1, await newBundle());
  publishByHand(stack.root, 'two', 1, await newBundle(['two.example.org']));
  stack.start();
  const { daemons } = await stack.until(({ ready }) => ready);
  renameSync(join(stack.run, 'default.pem'), join(stack.run, 'moved.pem'));
  const next = await newBundle(['two.example.org']);
  publishByHand(stack.root, 'two', 2, next);
  const after = await stack.until(({ ready, certificates: all }) => ready && all[1]?.served?.generation === 2);
  assert.equal(after.daemons[0]?.pid, daemons[0]?.pid, 'Apache was started again');
  assert.equal(await stack.served('two.example.org'), fingerprint(next));
});

async function reloadsOf(stack: Stack): Promise<string | undefined> {
  // A moment for a reload that should not come.
  await setTimeout(150);
  return /^podserve_reloads_total\{.*$/m.exec((await stack.get('/metrics')).text)?.[0];
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}
