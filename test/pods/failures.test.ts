import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';

import { mountDirectory, mountDisk } from '../support/mounts.ts';
import { eventually, podHost } from '../support/pods.ts';
import {
  apacheStatus,
  assertUnharmed,
  certificatesStatus,
  configureSite,
  loadReport,
  playBoth,
  provideFiles,
  publishedLeaf,
  renew,
  renewServed,
  servedLeaf,
  startWebLoad,
  untilPublished,
  untilServed,
} from '../support/pods-web.ts';
import { scratchDirectory } from '../support/scratch.ts';

const NETWORK = 'podman-default-kube-network';
/** Long enough for the pods to start; its end is waited for. */
const LIFETIME_S = 30;
const RENEWAL = ['podserve', 'certificates', '--mode', 'renew', '--force', '--state', '/data/state'];
const host = await podHost({ after });
const publication = join(host.data, 'certificates');
const rootCertificates = (): string => readFileSync(join(publication, 'ca.pem'), 'utf8');
const certificatesLog = (): Promise<string> => host.logs('certificates-certificates');

beforeEach(() => host.removeEverything());

test('a full volume: the old certificate is served on, the message says so, and a renewal succeeds once there is room', async (t) => {
  mkdirSync(publication);
  mountDisk(t, publication, '1m');
  provideFiles(host);
  configureSite(host);
  await playBoth(host);
  const served = await servedLeaf();
  const load = await startWebLoad(t);
  const filler = join(publication, 'filler');
  fill(filler);
  const refused = await host.exec('certificates-certificates', RENEWAL);
  assert.equal(refused.code, 1, refused.stdout);
  assert.match(refused.stderr, /could not be published: \/data\/state\/certificates.*: the disk is full \(ENOSPC\); free some space/);
  assert.equal(await publishedLeaf(host), served);
  assert.equal(await servedLeaf(), served);
  assert.match((await certificatesStatus(host)).certificates[0]?.failure?.message ?? '', /the disk is full/);

  rmSync(filler);
  t.diagnostic(`with room again, served ${(await renewServed(host)).toFixed(0)} ms after publishing`);
  assert.notEqual(await servedLeaf(), served);
  const counts = await load.stop();
  t.diagnostic(loadReport(counts));
  assertUnharmed(counts);
  await eventually(async () => !(await certificatesStatus(host)).attention, 'nothing needs attention any more', 20_000, certificatesLog);
});

test('the publication is deleted and restored while it is mounted: the old certificate is served on, both pods name the remedy, and up --pods is it', async () => {
  const up = (): ReturnType<typeof host.podserve> => host.podserve(['up', '--pods', '--state', host.data]);
  assert.equal((await up()).code, 0);
  const served = await servedLeaf();
  const backup = join(host.data, 'backup');
  copyAll(publication, backup);
  // The service mends what it sees deleted until the directory itself is gone, which rmSync may miss in silence.
  while (existsSync(publication)) rmSync(publication, { recursive: true, force: true, maxRetries: 20, retryDelay: 20 });
  copyAll(backup, publication);

  const remedy = /was deleted while it was mounted; make this container again to mount what is there now \(podserve up --pods does\)/;
  await eventually(
    async () => remedy.test((await apacheStatus(host)).reasons.join('\n')) && remedy.test(await certificatesLog()),
    'both pods name the remedy',
    20_000,
    async () => JSON.stringify(await apacheStatus(host)) + (await certificatesLog()),
  );
  assert.equal((await apacheStatus(host)).ready, false);
  assert.equal(await servedLeaf(), served);
  assert.equal((await host.podserve(['status', '--state', host.data])).code, 1);

  const again = await up();
  assert.equal(again.code, 0, again.stdout + again.stderr);
  assert.match(again.stdout, /^certificates +replacing it: what it mounts at \/data\/state\/certificates was deleted on this host$/m);
  assert.match(again.stdout, /^web +replacing it: what it mounts at \/etc\/ssl\/podserve was deleted on this host$/m);
  assert.equal(await servedLeaf(), served);
  assert.equal(await publishedLeaf(host), served);
  await renew(host);
  await untilServed(host);
});

test('pods are played before their disk is mounted: they serve what they made, and played again they have the old certificate and CA', async (t) => {
  const disk = scratchDirectory(t);
  const unmount = mountDirectory(t, disk, host.data);
  mkdirSync(join(disk, 'config'));
  await host.play('certificates.yaml');
  await untilPublished(host);
  await host.removePod('certificates');
  const [old, oldRoot] = [await publishedLeaf(host), rootCertificates()];
  unmount();

  await playBoth(host);
  const made = await servedLeaf();
  assert.notEqual(made, old);
  mountDirectory(t, disk, host.data);
  assert.equal(await publishedLeaf(host), old);
  await renew(host);
  await eventually(async () => (await servedLeaf()) !== made, 'the pods go on with what they mounted');
  assert.equal(await publishedLeaf(host), old, 'nothing was written to the disk');

  for (const pod of ['certificates', 'web']) await host.removePod(pod);
  await playBoth(host);
  assert.equal(await servedLeaf(), old);
  assert.equal(rootCertificates(), oldRoot);
  for (const pod of ['certificates', 'web']) await host.removePod(pod);
});

test('the network of the certificates pod is cut: web takes renewals all the same, and the delivery is on record once it is back', async (t) => {
  provideFiles(host);
  configureSite(host);
  await playBoth(host);
  const load = await startWebLoad(t);
  const infra = await host.must(['pod', 'inspect', '--format', '{{.InfraContainerID}}', 'certificates']);
  await host.must(['network', 'disconnect', NETWORK, infra]);
  const took = await renewServed(host);
  t.diagnostic(`served ${took.toFixed(0)} ms after publishing, without a network between the pods`);
  assert.ok(took < 2000, `${took} ms`);
  assert.equal((await apacheStatus(host)).ready, true);
  const delivered = async (): Promise<string | undefined> => {
    const { deliveries, published } = (await certificatesStatus(host)).certificates[0] ?? {};
    return deliveries?.find(({ generation }) => generation === published?.generation)?.state;
  };
  assert.notEqual(await delivered(), 'served');
  await host.must(['network', 'connect', NETWORK, infra]);
  await eventually(async () => (await delivered()) === 'served', 'the delivery is on record', 60_000, certificatesLog);
  assertUnharmed(await load.stop());
});

test('the network of the web pod is cut and connected again: it has taken the renewal meanwhile, and answers by itself', async () => {
  await playBoth(host);
  const infra = await host.must(['pod', 'inspect', '--format', '{{.InfraContainerID}}', 'web']);
  await host.must(['network', 'disconnect', NETWORK, infra]);
  await renew(host);
  await assert.rejects(servedLeaf());
  const renewed = await publishedLeaf(host);
  const taken = async (): Promise<boolean> => (await apacheStatus(host)).certificates[0]?.served?.leafSha256 === renewed;
  await eventually(taken, 'Apache serves the renewal inside of its pod');
  await host.must(['network', 'connect', NETWORK, infra]);
  await eventually(async () => (await servedLeaf()) === renewed, 'the host is answered again');
});

test('the certificate expires while nothing renews it: it is served on with an alarm, and the next one is taken at once', async (t) => {
  provideFiles(host);
  configureSite(host, { certificates: [{ name: 'default', lifetime: `${LIFETIME_S}s` }] });
  await playBoth(host);
  const served = await servedLeaf();
  await host.removePod('certificates');
  const load = await startWebLoad(t);
  const expired = async (): Promise<boolean> => (await apacheStatus(host)).certificates[0]?.state === 'expired';
  await eventually(expired, 'Apache’s pod says that it expired', (LIFETIME_S + 30) * 1000, async () =>
    JSON.stringify(await apacheStatus(host)),
  );
  const { ready, alarms } = await apacheStatus(host);
  assert.equal(ready, false);
  assert.match(alarms.join('\n'), /certificate default is expired: what is served expired at /);
  const told = await host.podserve(['status', '--state', host.data]);
  assert.equal(told.code, 1);
  assert.match(told.stdout, /ATTENTION: .*expired/);
  assert.equal(await servedLeaf(), served);

  await host.play('certificates.yaml');
  await eventually(async () => (await servedLeaf()) !== served, 'a new one is served', 20_000, certificatesLog);
  await eventually(async () => (await apacheStatus(host)).ready, 'Apache’s pod is ready again', 10_000);
  assertUnharmed(await load.stop());
});

/** With owners, groups and modes, as a backup is restored. */
function copyAll(from: string, to: string): void {
  execFileSync('cp', ['--archive', from, to]);
}

/** Takes all room that there is. */
function fill(file: string): void {
  const { bavail, bsize } = statfsSync(publication);
  writeFileSync(file, Buffer.alloc(bavail * bsize));
}
