import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { eventually, podHost } from '../support/pods.ts';
import {
  apacheStatus,
  assertUnharmed,
  certificatesStatus,
  configureSite,
  playBoth,
  provideFiles,
  publishedLeaf,
  renewServed,
  loadReport,
  servedLeaf,
  startWebLoad,
} from '../support/pods-web.ts';
import { scaled } from '../support/scale.ts';

const host = await podHost({ after });
provideFiles(host);
configureSite(host);
await playBoth(host);

test('renewals under load from outside of the pod break no request, and each is served within 2 s', async (t) => {
  const load = await startWebLoad(t);
  const took: number[] = [];
  const renewals = scaled(100);
  for (let count = 0; count < renewals; count += 1) {
    took.push(await renewServed(host));
  }
  const counts = await load.stop();
  const { daemons, certificates } = await apacheStatus(host);
  // What Apache's pod saw itself.
  const own = certificates[0]?.servedAfterMs ?? Infinity;
  t.diagnostic(`${renewals} renewals, served at most ${Math.max(...took).toFixed(0)} ms after publishing; ${loadReport(counts)}`);
  assertUnharmed(counts);
  assert.ok(
    Math.max(...took, own) < 2000,
    `the slowest took ${Math.max(...took)} ms, the last ${own} ms inside of the pod\n${await host.logs('web-apache')}`,
  );
  assert.equal(daemons[0]?.restarts, 0);
  assert.equal(await host.must(['inspect', '--format', '{{.RestartCount}}', 'web-apache']), '0', await host.logs('web-apache'));
});

test('the certificate service is restarted, killed and removed while Apache serves: no request fails', async (t) => {
  const published = await publishedLeaf(host);
  const load = await startWebLoad(t);
  const container = 'certificates-certificates';
  const pidOf = (): Promise<string> => host.must(['inspect', '--format', '{{.State.Pid}}', container]);
  const isBack = async (): Promise<boolean> => (await certificatesStatus(host)).certificates[0]?.state === 'good';
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const pid = await pidOf();
    process.kill(Number(pid), signal);
    await eventually(
      async () => !['0', pid].includes(await pidOf()) && (await isBack()),
      `podman starts it again after ${signal}`,
      20_000,
      () => host.logs(container),
    );
  }
  // Not `podman pod restart` nor stop and start: a pod of podman 4.3 ends with its last container, also a moment later.
  await host.play('certificates.yaml', { replace: true });
  await eventually(isBack, 'it is back after podman kube play --replace');

  await host.removePod('certificates');
  await setTimeout(1000);
  assert.equal(await servedLeaf(), published);
  const counts = await load.stop();
  t.diagnostic(loadReport(counts));
  assertUnharmed(counts);
  assert.equal((await apacheStatus(host)).ready, true);
});

test('a certificate service that is made anew issues nothing, and goes on with the same CA', async () => {
  const before = await host.current();
  const ca = await host.exec('web-apache', ['cat', '/etc/ssl/podserve/ca.pem']);
  await host.play('certificates.yaml');
  await eventually(async () => (await certificatesStatus(host)).certificates[0]?.state === 'good', 'it looks after the certificate again');
  const status = await certificatesStatus(host);
  assert.equal(status.certificates[0]?.published?.generation, before?.manifest.generation);
  assert.equal((await host.exec('web-apache', ['cat', '/etc/ssl/podserve/ca.pem'])).stdout, ca.stdout);
  const wasServed = await servedLeaf();
  assert.ok((await renewServed(host)) < 2000);
  assert.notEqual(await servedLeaf(), wasServed);
  assert.equal((await host.exec('web-apache', ['cat', '/etc/ssl/podserve/ca.pem'])).stdout, ca.stdout);
});
