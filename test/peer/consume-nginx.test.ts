import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { fingerprint, newBundle } from '../support/apache.ts';
import { run } from '../support/command.ts';
import { consumeStack, nginx, servingNginx } from '../support/consume.ts';
import { publishByHand } from '../support/hand-publication.ts';
import { longDownload, startLoad } from '../support/load.ts';
import { randomStream, scaled } from '../support/scale.ts';

const RENEWALS = scaled(200);
const isServed = ({ ready }: { ready: boolean }): boolean => ready;

test('consume started before there is any certificate waits, and nginx started on its copy serves it untold', async (t) => {
  const stack = await consumeStack(t);
  const daemon = nginx(t, stack);
  const consume = stack.start({ onChange: stack.noting(daemon.reload), check: daemon.check });
  const { reasons } = await stack.until(({ certificates }) => certificates[0]?.state === 'missing');
  assert.match(reasons.join('\n'), /certificate default is missing: it is not published; nothing is served for it/);
  const bundle = await stack.publish();
  await stack.until(({ certificates }) => certificates[0]?.state === 'pending');
  await daemon.start();
  assert.equal(await stack.served(), fingerprint(bundle));
  const { alarms } = await stack.until(isServed);
  assert.deepEqual(alarms, []);
  assert.equal(stack.calls(), 0, 'nginx was told what it had read at its start');
  consume.child.kill('SIGTERM');
  assert.equal((await consume.done).code, 0);
});

test('--once delivers before nginx runs, delivers to one that runs, and says when it was not taken', async (t) => {
  const stack = await consumeStack(t);
  const daemon = nginx(t, stack);
  const first = await stack.publish();
  const before = await stack.once({ onChange: stack.noting(daemon.reload), check: daemon.check });
  assert.equal(before.code, 0, before.stderr);
  assert.match(
    before.stdout,
    /^default: generation 1, until .*, is in .*copy; nothing listens at the endpoints yet: the daemon may be started\n$/,
  );
  await daemon.start();
  assert.equal(await stack.served(), fingerprint(first));
  const second = await stack.publish();
  const after = await stack.once({ onChange: stack.noting(daemon.reload), check: daemon.check, more: ['--json'] });
  assert.equal(after.code, 0, after.stderr);
  const report = JSON.parse(after.stdout) as { ok: boolean; state: string; served: { generation: number } };
  assert.deepEqual([report.ok, report.state, report.served.generation], [true, 'served', 2]);
  assert.equal(await stack.served(), fingerprint(second));
  assert.equal(stack.calls(), 1);
  await stack.publish();
  const refused = await stack.once({ onChange: 'echo it is broken >&2; exit 3' });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /podserve consume: certificate default is rejected: .*--on-change failed.*exit code 3.*it is broken/);
  assert.equal(await stack.served(), fingerprint(second));
});

test('renewals under load break no request of nginx, and each is served within two seconds', async (t) => {
  const stack = await consumeStack(t);
  const daemon = nginx(t, stack);
  const large = longDownload(RENEWALS);
  writeFileSync(join(daemon.served, 'large.bin'), large);
  await stack.publish();
  await stack.once({ onChange: daemon.reload });
  await daemon.start();
  stack.start({ onChange: stack.noting(daemon.reload), check: daemon.check });
  await stack.until(isServed);
  const renewals = RENEWALS;
  const load = await startLoad(t, { port: stack.port, connections: 3, keepAlive: 3, small: '/small.txt', large: '/large.bin' });
  const took: number[] = [];
  for (let count = 0; count < renewals; count += 1) {
    const bundle = await stack.publish();
    const renamed = lstatSync(join(stack.root, 'default/..data')).ctimeMs;
    while ((await stack.served()) !== fingerprint(bundle)) await setTimeout(5);
    took.push(Date.now() - renamed);
    await stack.until(({ ready, certificates }) => ready && certificates[0]?.served?.leafSha256 === fingerprint(bundle));
  }
  const counts = await load.stop();
  t.diagnostic(
    `${renewals} renewals: rename to served at most ${Math.max(...took).toFixed(0)} ms; ${counts.newConnections} new connections, ` +
      `${counts.keptRequests} requests on kept ones, ${counts.failures.length} failed, ${counts.retried} sent again`,
  );
  assert.deepEqual(counts.failures, []);
  assert.deepEqual(counts.download, { bytes: large.length, sha256: createHash('sha256').update(large).digest('hex') });
  assert.ok(counts.newConnections > renewals && counts.keptRequests > renewals, 'there was hardly any load');
  assert.ok(Math.max(...took) < 2000, `the slowest took ${Math.max(...took)} ms`);
  assert.equal(stack.calls(), renewals);
});

test('a generation with the key of another certificate never reaches nginx, and the next good one does', async (t) => {
  const { stack, daemon, first } = await servingNginx(t);
  stack.start({ onChange: stack.noting(daemon.reload), check: daemon.check });
  await stack.until(isServed);
  const other = await newBundle();
  publishByHand(stack.root, 'default', 2, await newBundle(), { privateKeyPem: other.privateKeyPem });
  const { certificates, alarms } = await stack.until(({ certificates: all }) => all[0]?.state === 'rejected');
  assert.match(certificates[0]?.reason ?? '', /generation 2: .*privkey\.pem.*does not belong.*generation 1 is still served/);
  assert.equal(alarms.length, 1);
  await setTimeout(300);
  assert.equal(stack.calls(), 0);
  assert.equal(readlinkSync(join(stack.copy, '..data')).slice(0, 12), '..gen-000001');
  assert.equal(await stack.served(), fingerprint(first));
  publishByHand(stack.root, 'default', 3, other);
  await stack.until(isServed);
  assert.equal(await stack.served(), fingerprint(other));
});

test('a generation that --check refuses is taken back before nginx hears of it', async (t) => {
  const { stack, daemon, first } = await servingNginx(t);
  const check = `test "$PODSERVE_GENERATION" != 2 || { echo two is bad; exit 1; }; ${daemon.check}`;
  stack.start({ onChange: stack.noting(daemon.reload), check });
  await stack.until(isServed);
  await stack.publish();
  const { certificates, alarms } = await stack.until(({ certificates: all }) => all[0]?.state === 'rejected');
  assert.match(certificates[0]?.reason ?? '', /generation 2: the command given with --check failed.*two is bad/);
  assert.equal(alarms.length, 1);
  assert.equal(stack.calls(), 0);
  assert.equal(readFileSync(join(stack.copy, 'cert.pem'), 'utf8'), first.leafPem);
  const third = await stack.publish();
  await stack.until(isServed);
  assert.equal(await stack.served(), fingerprint(third));
});

test('a reload that fails goes back to the last good one, loudly, and is not tried in a loop', async (t) => {
  const { stack, daemon, first } = await servingNginx(t);
  const consume = stack.start({ onChange: stack.noting(`test "$PODSERVE_GENERATION" != 2 && ${daemon.reload}`) });
  await stack.until(isServed);
  const bad = await stack.publish();
  const { certificates, alarms } = await stack.until(({ certificates: all }) => all[0]?.state === 'rejected' && all[0].served !== null);
  assert.match(certificates[0]?.reason ?? '', /--on-change failed: it ended with exit code 1.*generation 1 is still served/);
  assert.equal(alarms.length, 1);
  assert.match(consume.output(), /new certificates were not taken: going back/);
  await setTimeout(3000);
  assert.deepEqual(readFileSync(join(stack.directory, 'calls'), 'utf8').trim().split('\n'), ['2', '1']);
  assert.equal(readFileSync(join(stack.copy, 'fullchain.pem'), 'utf8'), first.leafPem + first.chainPem);
  assert.equal(await stack.served(), fingerprint(first));
  assert.notEqual(fingerprint(bad), fingerprint(first));
  const third = await stack.publish();
  assert.deepEqual((await stack.until(isServed)).alarms, []);
  assert.equal(await stack.served(), fingerprint(third));
});

test('a reload that says yes and does nothing is seen through: the last good copy is put back, with an alarm', async (t) => {
  const { stack, daemon, first } = await servingNginx(t);
  stack.start({ onChange: stack.noting(`test "$PODSERVE_GENERATION" = 2 || ${daemon.reload}`) });
  await stack.until(isServed);
  await stack.publish();
  const { certificates, alarms } = await stack.until(({ certificates: all }) => all[0]?.state === 'rejected' && all[0].served !== null);
  assert.match(certificates[0]?.reason ?? '', /generation 2: another certificate is served: .*generation 1 is still served/);
  assert.equal(alarms.length, 1);
  assert.equal(readFileSync(join(stack.copy, 'combined.pem'), 'utf8'), first.privateKeyPem + first.leafPem + first.chainPem);
  assert.deepEqual(readFileSync(join(stack.directory, 'calls'), 'utf8').trim().split('\n'), ['2', '1']);
  assert.equal((await fetch(`http://127.0.0.1:${stack.status}/readyz`)).status, 503);
  const third = await stack.publish();
  await stack.until(isServed);
  assert.equal(await stack.served(), fingerprint(third));
});

test('consume started again with nothing new has nginx reload nothing, and takes what came meanwhile', async (t) => {
  const { stack, daemon } = await servingNginx(t);
  for (let count = 0; count < 3; count += 1) {
    const consume = stack.start({ onChange: stack.noting(daemon.reload) });
    await stack.until(isServed);
    const mark = statSync(join(stack.copy, 'privkey.pem')).ino;
    consume.child.kill(count === 1 ? 'SIGKILL' : 'SIGTERM');
    await consume.done;
    assert.equal(statSync(join(stack.copy, 'privkey.pem')).ino, mark);
  }
  assert.equal(stack.calls(), 0);
  const next = await stack.publish();
  stack.start({ onChange: stack.noting(daemon.reload) });
  await stack.until(isServed);
  assert.equal(await stack.served(), fingerprint(next));
  assert.equal(stack.calls(), 1);
});

test('killed at any moment of a delivery, the copy always matches, and the next start brings it to its end', async (t) => {
  const { stack, daemon } = await servingNginx(t);
  const random = randomStream('consume killed');
  for (let count = 0; count < scaled(50); count += 1) {
    const consume = stack.start({ onChange: `sleep 0.05; ${daemon.reload}`, check: daemon.check });
    await stack.until(isServed);
    const bundle = await stack.publish();
    await setTimeout(random() * 250);
    consume.child.kill('SIGKILL');
    await consume.done;
    // What nginx would do if it were started now.
    const { code, stderr } = await run('sh', ['-c', daemon.check]);
    assert.equal(code, 0, stderr);
    const again = stack.start({ onChange: daemon.reload, check: daemon.check });
    await stack.until(({ ready, certificates }) => ready && certificates[0]?.served?.leafSha256 === fingerprint(bundle));
    assert.equal(await stack.served(), fingerprint(bundle));
    again.child.kill('SIGTERM');
    await again.done;
  }
  assert.ok(
    (await run('ls', ['-a', stack.copy])).stdout.split('\n').filter((name) => name.startsWith('..gen-')).length <= 3,
    'copies pile up',
  );
});

test('SIGTERM ends within five seconds while a command hangs, and leaves nginx serving and a copy that it can start on', async (t) => {
  const { stack, daemon, first } = await servingNginx(t);
  const consume = stack.start({ onChange: stack.noting('trap "" TERM; sleep 60 & wait; sleep 60') });
  await stack.until(isServed);
  const next = await stack.publish();
  for (let waited = 0; stack.calls() === 0 && waited < 10_000; waited += 20) await setTimeout(20);
  const began = Date.now();
  consume.child.kill('SIGTERM');
  assert.equal((await consume.done).code, 0);
  assert.ok(Date.now() - began < 5000, `it took ${Date.now() - began} ms`);
  assert.equal(await stack.served(), fingerprint(first));
  assert.equal((await run('sh', ['-c', daemon.check])).code, 0);
  stack.start({ onChange: daemon.reload });
  await stack.until(isServed);
  assert.equal(await stack.served(), fingerprint(next));
});

test('a command that hangs is ended after its time-out and counts as failed', async (t) => {
  const { stack, first } = await servingNginx(t);
  stack.start({ onChange: 'sleep 60', more: ['--timeout', '0.5'] });
  await stack.until(isServed);
  await stack.publish();
  const { certificates } = await stack.until(({ certificates: all }) => all[0]?.state === 'rejected' && all[0].served !== null);
  assert.match(certificates[0]?.reason ?? '', /it was ended after 0\.5 s/);
  assert.equal(await stack.served(), fingerprint(first));
});

test('nginx stopped during a renewal takes it soon after it was started again', async (t) => {
  const stack = await consumeStack(t);
  const daemon = nginx(t, stack);
  const first = await stack.publish();
  await stack.once({ onChange: daemon.reload });
  const running = await daemon.start();
  stack.start({ onChange: stack.noting(daemon.reload), check: daemon.check });
  await stack.until(isServed);
  running.child.kill('SIGTERM');
  await running.done;
  const next = await stack.publish();
  const { alarms } = await stack.until(({ certificates: all, alarms: now }) => all[0]?.state === 'rejected' && now.length === 2);
  assert.match(alarms.join('\n'), /certificate default is not served: there is no connection/);
  assert.equal(readFileSync(join(stack.copy, 'cert.pem'), 'utf8'), first.leafPem);
  await daemon.start();
  await stack.until(isServed);
  assert.equal(await stack.served(), fingerprint(next));
});

test('nginx that serves something else than the copy is told again', async (t) => {
  const { stack, daemon, first } = await servingNginx(t);
  // A hand that loaded other files meanwhile: the copy changed under consume, and was put back.
  const consume = stack.start({ onChange: stack.noting(daemon.reload) });
  await stack.until(isServed);
  consume.child.kill('SIGTERM');
  await consume.done;
  const foreign = await newBundle();
  writeFileSync(join(stack.directory, 'foreign.pem'), foreign.privateKeyPem + foreign.leafPem);
  const conf = join(stack.directory, 'nginx.conf');
  const text = readFileSync(conf, 'utf8');
  writeFileSync(conf, text.replaceAll(/ssl_certificate(_key)? [^;]*/g, `ssl_certificate$1 ${stack.directory}/foreign.pem`));
  await run('sh', ['-c', daemon.reload]);
  while ((await stack.served()) !== fingerprint(foreign)) await setTimeout(20);
  writeFileSync(conf, text);
  stack.start({ onChange: stack.noting(daemon.reload) });
  await stack.until(isServed);
  assert.equal(stack.calls(), 1);
  assert.equal(await stack.served(), fingerprint(first));
});
