import assert from 'node:assert/strict';
import { chmodSync, cpSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { FIRST_SUBORDINATE_ID, ordinaryUser } from '../support/ordinary-user.ts';
import { DEPLOY, PODMAN_ENV, eventually, podHostOf, type PodHost } from '../support/pods.ts';
import {
  apacheStatus,
  assertUnharmed,
  configureSite,
  httpStatus,
  httpsStatus,
  loadReport,
  provideFiles,
  publishedLeaf,
  renewServed,
  servedLeaf,
  startWebLoad,
  untilServed,
} from '../support/pods-web.ts';
import { run } from '../support/command.ts';
import { freePort } from '../support/scratch.ts';

/** Group 60800 of a container, whose group 1 is the first subordinate one. */
const KEY_GROUP = FIRST_SUBORDINATE_ID + 60_800 - 1;
const IMAGES = ['base', 'certificates', 'apache'].map((kind) => `localhost/podserve-harmony-${kind}:latest`);

const user = await ordinaryUser({ after });
const host: PodHost = podHostOf(user);
const [http, https] = [await freePort(), await freePort()];
const deploy = join(user.home, 'deploy');
const up = (): ReturnType<PodHost['podserve']> =>
  host.podserve(['up', '--pods', '--deploy', deploy, '--network', 'slirp4netns', '--state', host.data]);

/** As docs/deployment.md says: other ports, and no limits, for which a user without a login session has no cgroup. */
function copyDeploy(): void {
  cpSync(DEPLOY, deploy, { recursive: true });
  for (const file of readdirSync(deploy).filter((name) => name.endsWith('.yaml'))) {
    const text = readFileSync(join(deploy, file), 'utf8');
    const changed = text
      .replace('hostPort: 80 ', `hostPort: ${http} `)
      .replace('hostPort: 443 ', `hostPort: ${https} `)
      .replaceAll(/^ +(?:resources:|requests: .*|limits: .*)\n/gm, '');
    writeFileSync(join(deploy, file), changed);
  }
}

before(async () => {
  const archive = join(user.home, 'images.tar');
  const saved = await run('podman', ['save', '--quiet', '--multi-image-archive', '--output', archive, ...IMAGES], { env: PODMAN_ENV });
  assert.equal(saved.code, 0, saved.stderr);
  chmodSync(archive, 0o644);
  await host.must(['load', '--quiet', '--input', archive]);
  copyDeploy();
  provideFiles(host);
  configureSite(host);
});

test('an ordinary user brings the pods up, on ports from 1024 on', async (t) => {
  const { code, stdout, stderr } = await up();
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, new RegExp(`^ {2}web +https://localhost:${https}$`, 'm'));
  t.diagnostic(`podman ${await host.must(['info', '--format', '{{.Version.Version}}, storage {{.Store.GraphDriverName}}'])}`);
  assert.equal(await host.must(['info', '--format', '{{.Host.Security.Rootless}}']), 'true');
});

test('the files have the modes of DESIGN §5, and the key belongs to the group 60800 of the containers', () => {
  const current = join(host.data, 'certificates/default/..data');
  const modes = Object.fromEntries(
    ['.', 'cert.pem', 'fullchain.pem', 'privkey.pem', 'combined.pem'].map((file) => {
      const { mode, uid, gid } = statSync(join(current, file));
      const group = gid === KEY_GROUP ? 'key group' : gid === user.uid ? 'own' : gid;
      return [file, `${(mode & 0o777).toString(8)} ${uid === user.uid ? 'own' : uid} ${group}`];
    }),
  );
  assert.deepEqual(modes, {
    '.': '755 own own',
    'cert.pem': '644 own own',
    'fullchain.pem': '644 own own',
    'privkey.pem': '640 own key group',
    'combined.pem': '640 own key group',
  });
  assert.equal((statSync(join(host.data, 'authority')).mode & 0o777).toString(8), '700');
});

test('Apache serves it over HTTPS, verified against ca.pem, and redirects HTTP', async () => {
  await untilServed(host, { port: https });
  assert.equal(await httpsStatus(host, { port: https }), 404);
  assert.equal(await httpStatus(`http://127.0.0.1:${http}/somewhere`), 308);
});

test('Apache reads the files as its own user, and root in the container cannot write them either', async () => {
  assert.equal((await host.exec('web-apache', ['id', '-u'])).stdout.trim(), '33');
  const key = await host.exec('web-apache', ['head', '-n', '1', '/etc/ssl/podserve/default/privkey.pem']);
  assert.match(key.stdout, /^-----BEGIN PRIVATE KEY-----$/m);
  for (const who of ['33', '0']) {
    const write = await host.exec('web-apache', ['touch', '/etc/ssl/podserve/default/new'], { user: who });
    assert.match(write.stderr, /Read-only file system/);
  }
});

test('the container that only consumes sees all files, and cannot write them, as root either', async () => {
  const report = /files=cert\.pem,chain\.pem,combined\.pem,fullchain\.pem,manifest\.json,privkey\.pem reads-key=yes writes=no/;
  await eventually(async () => report.test(await host.logs('consumer-consumer')), 'the consumer reports what it sees');
  const write = await host.exec('consumer-consumer', ['touch', '/data/ssl/default/..data/new'], { user: '0' });
  assert.match(write.stderr, /Read-only file system/);
});

test('a renewal under load breaks no request, and is served within 2 s', async (t) => {
  const load = await startWebLoad(t, { port: https });
  const old = await servedLeaf({ port: https });
  const took = await renewServed(host, { port: https });
  assert.notEqual(await servedLeaf({ port: https }), old);
  const counts = await load.stop();
  t.diagnostic(`served ${took.toFixed(0)} ms after publishing; ${loadReport(counts)}`);
  assertUnharmed(counts);
  assert.ok(took < 2000, `${took} ms`);
  assert.equal((await apacheStatus(host)).daemons[0]?.restarts, 0);
});

test('down ends them and keeps the data, and up has the same certificate again', async () => {
  const old = await publishedLeaf(host);
  assert.equal((await host.podserve(['down', '--state', host.data])).code, 0);
  const again = await up();
  assert.equal(again.code, 0, again.stdout + again.stderr);
  await untilServed(host, { port: https });
  assert.equal(await servedLeaf({ port: https }), old);
});
