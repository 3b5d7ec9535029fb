import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { eventually, podHost } from '../support/pods.ts';
import { httpStatus, renewServed, servedLeaf, untilServed } from '../support/pods-web.ts';
import { scratchDirectory } from '../support/scratch.ts';

const host = await podHost({ after });

/** Debian's packages under the names of the stock images: their programs and options are the same. */
async function provideStockImage(directory: string, daemon: string, image: string): Promise<void> {
  const lines = ['FROM localhost/podserve-harmony-runtime:latest', 'USER 0', `RUN podserve-slim install ${daemon}`];
  writeFileSync(join(directory, 'Containerfile'), `${lines.join('\n')}\n`);
  await host.must(['build', '--quiet', '--isolation', 'chroot', '--tag', image, directory]);
}

for (const [daemon, image] of [
  ['nginx', 'docker.io/library/nginx:stable'],
  ['haproxy', 'docker.io/library/haproxy:lts'],
] as const) {
  test(`deploy/examples/${daemon}.yaml: played first it waits, serves the first certificate, and takes renewals`, async (t) => {
    await provideStockImage(scratchDirectory(t), daemon, image);
    await host.removeEverything();
    await host.play(`examples/${daemon}.yaml`);
    const ready = async (): Promise<boolean> => (await host.exec(`${daemon}-consume`, ['podserve-ready'])).code === 0;
    await eventually(
      async () => (await host.exec(`${daemon}-consume`, ['podserve-alive'])).code === 0,
      'the sidecar lives',
      20_000,
      () => host.logs(`${daemon}-consume`),
    );
    assert.equal(await ready(), false);
    await assert.rejects(servedLeaf());
    await host.play('certificates.yaml', { settings: { CERT_CONSUMERS: `${daemon}=https://${daemon}:8443` } });
    await untilServed(host, { ms: 30_000 });
    await eventually(ready, 'the sidecar has seen it served', 20_000, () => host.logs(`${daemon}-consume`));
    for (let count = 0; count < 3; count += 1) {
      const took = await renewServed(host);
      t.diagnostic(`served ${took.toFixed(0)} ms after publishing`);
      await eventually(ready, 'the sidecar has seen it served', 20_000, () => host.logs(`${daemon}-consume`));
    }
    assert.equal(await host.must(['inspect', '--format', '{{.RestartCount}}', `${daemon}-${daemon}`]), '0', 'it was never restarted');
    const { stdout } = await host.exec(`${daemon}-${daemon}`, ['id', '-u']);
    assert.notEqual(stdout.trim(), '0');
    if (daemon === 'nginx') {
      writeFileSync(join(host.data, 'challenges/token'), 'answer', { mode: 0o644 });
      assert.equal(await httpStatus('http://127.0.0.1/.well-known/acme-challenge/token'), 200);
      assert.equal(await httpStatus('http://127.0.0.1/'), 308);
    }
    await host.podman(['pod', 'rm', '--force', '--ignore', '--time', '0', daemon]);
  });
}
