import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { eventually, podHost, type PodHost } from '../support/pods.ts';
import { httpStatus, httpsStatus, untilServed } from '../support/pods-web.ts';

const KEY_GROUP = 60_800;
const NETWORK = 'podserve-test-ipv6';

describe('the shipped pods, one after the other', () => {
  let host: PodHost;

  const ends: (() => unknown)[] = [];

  before(async () => {
    host = await podHost({ after: (end) => void ends.push(end) });
  });

  after(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test('the certificates pod publishes a certificate with the modes and the group that DESIGN §5 gives', async () => {
    await host.play('certificates.yaml');
    await eventually(
      async () => (await host.current()) !== undefined,
      'a certificate is published',
      20_000,
      () => host.logs('certificates-certificates'),
    );
    const directory = join(host.data, 'certificates/default');
    const modes = Object.fromEntries(
      ['.', 'cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem', 'combined.pem'].map((file) => {
        const { mode, gid } = statSync(join(directory, '..data', file));
        return [file, `${(mode & 0o777).toString(8)} ${gid === KEY_GROUP ? 'key group' : gid}`];
      }),
    );
    assert.deepEqual(modes, {
      '.': '755 0',
      'cert.pem': '644 0',
      'chain.pem': '644 0',
      'fullchain.pem': '644 0',
      'privkey.pem': '640 key group',
      'combined.pem': '640 key group',
    });
    assert.equal((statSync(join(host.data, 'authority')).mode & 0o777).toString(8), '700');
  });

  test('Apache serves it over HTTPS from the host, verified against ca.pem, and redirects HTTP', async () => {
    await host.play('web.yaml');
    await untilServed(host, { ms: 30_000 });
    assert.equal(await httpsStatus(host), 200);
    assert.equal(await httpStatus('http://127.0.0.1/somewhere'), 308);
  });

  test('over IPv6 too, where the network of the pods has it', async () => {
    const address = 'fd00:706f:6473::1';
    await host.must(['network', 'create', '--ipv6', '--subnet', 'fd00:706f:6473::/64', '--subnet', '10.97.31.0/24', NETWORK]);
    await host.removePod('web');
    await host.play('web.yaml', { network: NETWORK });
    await untilServed(host, { host: `[${address}]`, ms: 30_000 });
    assert.equal(await httpsStatus(host, { host: address }), 200);
    assert.equal(await httpStatus(`http://[${address}]/somewhere`), 308);
    await host.removePod('web');
    await host.must(['network', 'rm', NETWORK]);
    await host.play('web.yaml');
    await untilServed(host, { ms: 30_000 });
  });

  test('Apache reads the files as its own user, and cannot write them', async () => {
    const whoami = await host.exec('web-apache', ['id', '-u']);
    assert.equal(whoami.stdout.trim(), '33');
    const read = await host.exec('web-apache', ['head', '-n', '1', '/etc/ssl/podserve/default/privkey.pem']);
    assert.match(read.stdout, /^-----BEGIN PRIVATE KEY-----$/m);
    for (const user of ['33', '0']) {
      const write = await host.exec('web-apache', ['touch', '/etc/ssl/podserve/default/new'], { user });
      assert.notEqual(write.code, 0);
      assert.match(write.stderr, /Read-only file system/);
    }
  });

  test('a container that only consumes sees all files, and cannot write them, as root either', async () => {
    await host.play('consumer.yaml');
    await eventually(async () => (await host.logs('consumer-consumer')).includes('generation='), 'the consumer reports what it sees');
    const report = await host.logs('consumer-consumer');
    assert.match(report, /files=cert\.pem,chain\.pem,combined\.pem,fullchain\.pem,manifest\.json,privkey\.pem reads-key=yes writes=no/);
    const write = await host.exec('consumer-consumer', ['touch', '/data/ssl/default/..data/new'], { user: '0' });
    assert.match(write.stderr, /Read-only file system/);
  });

  test('the service sees, from its own pod, that the pod `web` serves the certificate', async () => {
    await eventually(
      async () => {
        const { certificates } = (await host.status('certificates-certificates', 9081)) as {
          certificates: { deliveries: { state: string }[] }[];
        };
        const deliveries = certificates[0]?.deliveries ?? [];
        return deliveries.length > 0 && deliveries.every(({ state }) => state === 'served');
      },
      'the delivery to https://web:443 is on record',
      40_000,
      async () => JSON.stringify(await host.status('certificates-certificates', 9081)),
    );
  });
});
