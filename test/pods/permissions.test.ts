import assert from 'node:assert/strict';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { eventually, podHost } from '../support/pods.ts';
import { renew, untilPublished } from '../support/pods-web.ts';
import { scaled } from '../support/scale.ts';

const KEY_GROUP = 60_800;
const KEY = '/data/ssl/default/privkey.pem';

const host = await podHost({ after });

test('a consumer with a user of its own in the key group reads the key, and one outside of the group does not', async () => {
  await host.play('certificates.yaml');
  await untilPublished(host);
  await host.play('consumer.yaml', { edit: (text) => text.replaceAll('60801', '4711') });
  assert.equal((await host.exec('consumer-consumer', ['id', '-u'])).stdout.trim(), '4711');
  assert.match((await host.exec('consumer-consumer', ['head', '-n', '1', KEY])).stdout, /^-----BEGIN PRIVATE KEY-----$/m);
  await eventually(
    async () => (await host.logs('consumer-consumer')).includes('reads-key=yes'),
    'the consumer reports that it reads the key',
  );

  await host.removePod('consumer');
  await host.play('consumer.yaml', {
    edit: (text) => {
      const outside = text.replace('supplementalGroups: [60800]', 'supplementalGroups: [60805]');
      assert.notEqual(outside, text);
      return outside;
    },
  });
  const refused = await host.exec('consumer-consumer', ['head', '-n', '1', KEY]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /Permission denied/);
  assert.match((await host.exec('consumer-consumer', ['head', '-n', '1', '/data/ssl/default/fullchain.pem'])).stdout, /BEGIN CERTIFICATE/);
  await eventually(async () => (await host.logs('consumer-consumer')).includes('reads-key=no'), 'the consumer reports that it cannot');
});

test('directories, files and keys have the same modes and groups after many renewals as after the first', async (t) => {
  const renewals = Math.max(5, scaled(20));
  for (let count = 0; count < renewals; count += 1) await renew(host);
  const root = join(host.data, 'certificates');
  const seen = new Map<string, Set<string>>();
  for (const file of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const { mode, gid, uid } = lstatSync(join(file.parentPath, file.name));
    if (file.isSymbolicLink()) continue;
    const kind = file.isDirectory() ? 'directories' : file.name;
    const its = seen.get(kind) ?? new Set();
    seen.set(kind, its.add(`${(mode & 0o7777).toString(8)} ${uid} ${gid === KEY_GROUP ? 'key group' : gid}`));
  }
  const modes = Object.fromEntries([...seen].map(([kind, its]) => [kind, [...its].join(', ')]));
  t.diagnostic(`${renewals} renewals: ${JSON.stringify(modes)}`);
  assert.deepEqual(modes, {
    '.lock': '600 0 0',
    directories: '755 0 0',
    'ca.pem': '644 0 0',
    'cert.pem': '644 0 0',
    'chain.pem': '644 0 0',
    'fullchain.pem': '644 0 0',
    'manifest.json': '644 0 0',
    'privkey.pem': '640 0 key group',
    'combined.pem': '640 0 key group',
  });
});

test('deploy/examples/integration-test.yaml: a consumer in the same pod sees all files on an emptyDir and each renewal, and writes nothing', async () => {
  await host.play('examples/integration-test.yaml');
  const consumer = 'integration-test-consumer';
  const reports = async (): Promise<string[]> => [...(await host.logs(consumer)).matchAll(/^generation=(\d+) .*$/gm)].map(([line]) => line);
  await eventually(
    async () => (await reports()).length === 1,
    'the consumer reports the first generation',
    20_000,
    () => host.logs('integration-test-certificates'),
  );
  const files = 'files=cert.pem,chain.pem,combined.pem,fullchain.pem,manifest.json,privkey.pem reads-key=yes writes=no';
  assert.deepEqual(await reports(), [`generation=000001 ${files}`]);
  await renew(host, 'integration-test-certificates');
  await eventually(async () => (await reports()).length === 2, 'the consumer reports the next generation');
  assert.deepEqual(await reports(), [`generation=000001 ${files}`, `generation=000002 ${files}`]);
  const write = await host.exec(consumer, ['touch', '/data/ssl/default/..data/new'], { user: '0' });
  assert.match(write.stderr, /Read-only file system/);
});
