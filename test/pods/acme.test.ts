import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { PEBBLE_DIRECTORY, pebblePod } from '../support/pebble-pod.ts';
import { eventually, podHost } from '../support/pods.ts';
import {
  apacheStatus,
  assertUnharmed,
  certificatesStatus,
  configureSite,
  loadReport,
  provideFiles,
  publishedLeaf,
  servedLeaf,
  startWebLoad,
  untilServed,
} from '../support/pods-web.ts';

const NETWORK = 'podman-default-kube-network';
const NAME = 'www.lab.example';
const NAMES = [NAME, 'mail.lab.example'];
/** The first pause after a failure is a minute. */
const NEXT_TRY = 90_000;

const host = await podHost({ after });
const configured = (names: readonly string[]): Record<string, unknown> => ({
  issuers: { pebble: { directory: PEBBLE_DIRECTORY, caFile: 'pebble-ca.pem', challenge: 'http-01' } },
  certificates: [{ name: 'default', names, issuers: ['pebble'], consumers: ['apache'] }],
});
provideFiles(host, 200);
configureSite(host, configured(NAMES));
const pebble = await pebblePod({ after }, host, join(host.data, 'config/pebble-ca.pem'), { authzReuse: 0 });
const infraOf = (pod: string): Promise<string> => host.must(['pod', 'inspect', '--format', '{{.InfraContainerID}}', pod]);
const log = (): Promise<string> => host.logs('certificates-certificates');

test('with the CA out of reach a placeholder is served, and once it is there Apache answers its challenge and serves the real certificate', async (t) => {
  await host.play('certificates.yaml');
  await host.play('web.yaml');
  await untilServed(host, { servername: NAME, ms: 30_000 });
  const before = (await certificatesStatus(host)).certificates[0];
  assert.equal(before?.published?.placeholder, true);
  const placeholder = await publishedLeaf(host);
  await eventually(async () => (await certificatesStatus(host)).certificates[0]?.failure !== null, 'the failure is on record', 20_000, log);
  const told = await host.podserve(['status', '--state', host.data]);
  assert.equal(told.code, 1, told.stdout);
  assert.match(told.stdout, /placeholder/);
  assert.match(told.stdout, /1 failed in a row, the next try is at/);

  const began = Date.now();
  await pebble.play(
    await host.must(['inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', await infraOf('web')]),
  );
  const isReal = async (): Promise<boolean> => (await certificatesStatus(host)).certificates[0]?.published?.issuer === 'pebble';
  await eventually(isReal, 'Pebble’s certificate is published', NEXT_TRY, log);
  const took = await untilServed(host, { servername: NAME });
  t.diagnostic(
    `Pebble’s certificate ${((Date.now() - began) / 1000).toFixed(1)} s after Pebble was there, served ${took.toFixed(0)} ms after publishing`,
  );
  assert.notEqual(await servedLeaf({ servername: NAME }), placeholder);
  const settled = async (): Promise<boolean> => !(await certificatesStatus(host)).attention && (await apacheStatus(host)).ready;
  await eventually(settled, 'nothing needs attention', 20_000, log);
});

test('a renewal that fails for want of the CA leaves the old certificate served, tells so, and succeeds by itself once the CA is back', async (t) => {
  const old = await servedLeaf({ servername: NAME });
  const load = await startWebLoad(t);
  await host.must(['network', 'disconnect', NETWORK, await infraOf('pebble')]);
  // One name more makes it due.
  configureSite(host, configured([...NAMES, 'api.lab.example']));
  process.kill(Number(await host.must(['inspect', '--format', '{{.State.Pid}}', 'certificates-certificates'])), 'SIGHUP');
  await eventually(async () => (await certificatesStatus(host)).certificates[0]?.failure !== null, 'the failure is on record', 20_000, log);
  assert.equal(await publishedLeaf(host), old);
  const told = await host.podserve(['status', '--state', host.data]);
  assert.equal(told.code, 1, told.stdout);
  assert.match(told.stdout, /1 failed in a row, the next try is at/);
  assert.match(told.stdout, /ATTENTION: .*default/);
  assert.equal(await servedLeaf({ servername: NAME }), old);

  await host.must(['network', 'connect', NETWORK, await infraOf('pebble')]);
  await eventually(async () => (await publishedLeaf(host)) !== old, 'a new one is published by itself', NEXT_TRY, log);
  await untilServed(host, { servername: NAME });
  const counts = await load.stop();
  t.diagnostic(loadReport(counts));
  assertUnharmed(counts);
  assert.equal((await certificatesStatus(host)).certificates[0]?.published?.issuer, 'pebble');
  await eventually(async () => !(await certificatesStatus(host)).attention, 'nothing needs attention', 20_000, log);
});
