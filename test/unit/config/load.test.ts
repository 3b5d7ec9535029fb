import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { PodserveError, describeError } from '../../../src/platform/errors.ts';
import { DAY } from '../../../src/platform/clock.ts';
import { scratchDirectory } from '../../support/scratch.ts';
import { run } from '../../support/command.ts';
import { ROOT, understood, writeConfig } from './support.ts';

const EMPTY = '/nonexistent';

function names(config: Config, certificate = 0): string[] | undefined {
  return config.certificates[certificate]?.identifiers.map(({ value }) => value);
}

test('without a file everything has a default that works on a laptop', async () => {
  const config = await loadConfig({ cwd: EMPTY, env: {}, traits: ROOT });
  assert.equal(config.file, undefined);
  assert.equal(config.domain, 'localhost');
  assert.equal(config.certificates.length, 1);
  assert.deepEqual(names(config), ['localhost', '127.0.0.1', '::1']);
  const { name, keyType, issuers, lifetime, renewBefore } = config.certificates[0] ?? assert.fail();
  assert.deepEqual([name, keyType, issuers, lifetime, renewBefore], ['default', 'ecdsa-p256', ['local-ca'], 90 * DAY, 7 * DAY]);
  assert.deepEqual(
    [config.admin.listen, config.admin.status, config.certificateService.status],
    ['localhost:8443', '127.0.0.1:9086', '127.0.0.1:9081'],
  );
  assert.deepEqual([config.apache.http, config.apache.https], ['[::]:80', '[::]:443']);
  assert.equal(config.keyGid, 60_800);
  assert.deepEqual(config.warnings, []);
});

test('a user who may not open low ports gets 8080 and 8444, and a host without IPv6 an IPv4 address', async () => {
  const config = await loadConfig({ cwd: EMPTY, env: {}, traits: { lowPorts: false, ipv6: false } });
  assert.deepEqual([config.apache.http, config.apache.https], ['0.0.0.0:8080', '0.0.0.0:8444']);
});

test('without a file neither the YAML reader nor the schema is loaded, with one both are', async (t) => {
  const directory = writeConfig(t, 'domain: example.org');
  const load = new URL('../../../src/config/load.ts', import.meta.url).href;
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = new Set();
    registerHooks({ resolve(name, context, next) { if (name === 'yaml' || name.startsWith('zod')) loaded.add(name); return next(name, context); } });
    const { loadConfig } = await import(${JSON.stringify(load)});
    await loadConfig({ cwd: process.argv[1], env: {} });
    console.log([...loaded].sort().join(' '));`;
  const without = await run(process.execPath, ['--input-type=module', '-e', script, EMPTY]);
  assert.deepEqual([without.stdout, without.code], ['\n', 0], without.stderr);
  const withFile = await run(process.execPath, ['--input-type=module', '-e', script, directory]);
  assert.equal(withFile.stdout, 'yaml zod/mini\n', withFile.stderr);
});

test('an empty file is no configuration, not an error', async (t) => {
  assert.equal((await understood(t, '')).domain, 'localhost');
  assert.equal((await understood(t, '# nothing yet\n')).domain, 'localhost');
  assert.equal((await understood(t, 'certificates:\nemail:\n')).certificates.length, 1);
});

test('a full file means what it says', async (t) => {
  const directory = writeConfig(
    t,
    `
domain: Lab.Example.org
email: admin@lab.example.org
certificates:
  - name: web
    names: [www.lab.example.org, "*.Lab.example.org", bücher.example, "[2001:DB8::1]", www.lab.example.org]
    issuers: [self-signed, local-ca]
    keyType: rsa-3072
    lifetime: 30d
    renewBefore: 12h
    consumers: [front, apache]
  - name: default
    keyType: ecdsa-p384
consumers:
  front: { endpoints: ["https://front:8443", "smtp://mail"] }
certificateService: { status: "0.0.0.0:9081" }
apache:
  http: "8080"
  https: "[::1]:8445"
  hsts: 365d
  sites:
    - { certificate: web, names: [www.lab.example.org], root: pages }
    - { certificate: web, names: [shop.lab.example.org], proxy: "http://127.0.0.1:3000" }
admin: { listen: "127.0.0.1:9443", certificate: web }
onEvent: { exec: bin/notify }
keyGid: 4711
log: { level: debug, format: json }
`,
  );
  const config = await loadConfig({ cwd: directory, env: {}, traits: ROOT });
  assert.equal(config.file, join(directory, 'podserve.yaml'));
  assert.equal(config.domain, 'lab.example.org');
  assert.deepEqual(
    config.certificates.map(({ name }) => name),
    ['default', 'web'],
    'default comes first',
  );
  assert.deepEqual(names(config), ['lab.example.org'], 'default without names has the domain');
  assert.equal(config.certificates[0]?.keyType, 'ecdsa-p384');
  assert.deepEqual(names(config, 1), ['www.lab.example.org', '*.lab.example.org', 'xn--bcher-kva.example', '2001:db8::1']);
  const { issuers, lifetime, renewBefore, consumers } = config.certificates[1] ?? assert.fail();
  assert.deepEqual([issuers, lifetime, renewBefore, consumers], [['self-signed', 'local-ca'], 30 * DAY, DAY / 2, ['front', 'apache']]);
  assert.deepEqual(
    { ...config.consumers },
    {
      admin: { endpoints: ['https://127.0.0.1:9443'] },
      apache: { endpoints: ['https://[::1]:8445'] },
      mail: { endpoints: ['smtp://mail', 'submission://mail', 'smtps://mail', 'imap://mail', 'imaps://mail'] },
      front: { endpoints: ['https://front:8443', 'smtp://mail'] },
    },
  );
  assert.equal(Object.getPrototypeOf(config.consumers), null, 'consumers.constructor is nobody');
  assert.equal(config.certificateService.status, '0.0.0.0:9081');
  assert.deepEqual([config.apache.http, config.apache.https, config.apache.hsts], ['[::]:8080', '[::1]:8445', 31_536_000]);
  assert.deepEqual(config.apache.sites, [
    { certificate: 'web', names: ['www.lab.example.org'], root: join(directory, 'pages'), proxy: undefined },
    { certificate: 'web', names: ['shop.lab.example.org'], root: undefined, proxy: 'http://127.0.0.1:3000/' },
  ]);
  assert.equal(config.admin.certificate, 'web');
  assert.deepEqual(config.onEvent, { exec: join(directory, 'bin/notify') });
  assert.deepEqual([config.keyGid, config.log], [4711, { level: 'debug', format: 'json' }]);
});

test('a program or a site directory that is missing is a warning: renewal goes on without it', async (t) => {
  const config = await understood(t, 'onEvent: { exec: ./notify }\napache: { sites: [{ root: /nonexistent }] }');
  assert.equal(config.warnings.length, 2);
  assert.match(config.warnings[0] ?? '', /^onEvent\.exec: .*notify cannot be called: there is no such file/);
  assert.match(config.warnings[1] ?? '', /^apache\.sites\[0\]\.root: \/nonexistent is no directory/);
});

test('a consumer that no certificate lists is warned of', async (t) => {
  const { warnings } = await understood(t, 'consumers: { web: { endpoints: ["https://web"] }, admin: { endpoints: ["https://x"] } }');
  assert.deepEqual(warnings, ['no certificate lists the consumer web: nothing watches whether it takes renewals']);
});

test('two services that take the same port are warned of, since they may run on different hosts', async (t) => {
  const { warnings } = await understood(t, 'apache: { https: "[::]:8443" }');
  assert.deepEqual(warnings, ['apache.https and admin.listen both take port 8443: they cannot run on the same host']);
});

test('a short lifetime alone is no contradiction: the default lead shrinks to a third of it', async (t) => {
  const { certificates } = await understood(t, 'certificates: [{ name: default, lifetime: 6d }]');
  assert.equal(certificates[0]?.renewBefore, 2 * DAY);
});

test('nothing of the configuration can be changed', async (t) => {
  const config = await understood(t, 'consumers: { web: { endpoints: ["https://web"] } }');
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    assert.ok(Object.isFrozen(value), `${path} is not frozen`);
    for (const [key, inner] of Object.entries(value)) walk(inner, `${path}.${key}`);
  };
  walk(config, 'config');
});

test('aliases may stand for what is repeated, any number of times', async (t) => {
  const lines = Array.from({ length: 300 }, (_, index) => `  - { name: c${index}, names: [c${index}.example.org], issuers: *both }`);
  const config = await understood(t, `certificates:\n  - { name: default, issuers: &both [self-signed, local-ca] }\n${lines.join('\n')}\n`);
  assert.equal(config.certificates.length, 301);
  assert.deepEqual(config.certificates[300]?.issuers, ['self-signed', 'local-ca']);
});

test('ten thousand certificates share their lists, and stay below 2 KiB each', async (t) => {
  const lines = Array.from(
    { length: 10_000 },
    (_, index) => `  - { name: certificate-${index}, names: [alpha${index}.example.org, beta${index}.example.org], consumers: [admin] }`,
  );
  const directory = writeConfig(t, `certificates:\n${lines.join('\n')}\n`);
  const load = new URL('../../../src/config/load.ts', import.meta.url).href;
  const script = `
    const { loadConfig } = await import(${JSON.stringify(load)});
    const load = () => loadConfig({ cwd: process.argv[1], env: {} });
    const settle = async () => { for (let i = 0; i < 4; i++) { await new Promise((resolve) => setTimeout(resolve, 10)); gc(); } };
    let config = await load(); config = undefined;
    await settle(); const before = process.memoryUsage().heapUsed;
    const begun = performance.now(); config = await load(); const took = performance.now() - begun;
    await settle(); const each = (process.memoryUsage().heapUsed - before) / 10_000;
    console.log(JSON.stringify({ each, took, lists: new Set(config.certificates.slice(1).flatMap((spec) => [spec.issuers, spec.consumers])).size }));`;
  const { stdout, stderr } = await run(process.execPath, ['--expose-gc', '--input-type=module', '-e', script, directory]);
  assert.notEqual(stdout, '', stderr);
  const { each, took, lists } = JSON.parse(stdout) as { each: number; took: number; lists: number };
  t.diagnostic(`${each.toFixed(0)} bytes a certificate, read in ${took.toFixed(0)} ms`);
  assert.ok(each < 2048, `${each} bytes`);
  assert.equal(lists, 2);
});

test('the file that --config names must be there and be a file', async (t) => {
  const directory = scratchDirectory(t);
  mkdirSync(join(directory, 'sub'));
  symlinkSync('b', join(directory, 'a'));
  symlinkSync('a', join(directory, 'b'));
  await run('mkfifo', [join(directory, 'fifo')]);
  const told = async (file: string): Promise<string> => {
    const error = await loadConfig({ file, cwd: directory, env: {} }).then(
      () => assert.fail(`${file} was taken`),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof PodserveError);
    assert.deepEqual([error.code, error.exitCode], ['CONFIG_UNREADABLE', 2]);
    return describeError(error);
  };
  assert.match(await told('nowhere.yaml'), /^the configuration file cannot be read: nowhere\.yaml: there is no such file; check the path/);
  assert.match(await told('sub'), /sub: it is a directory; name the YAML file itself/);
  assert.match(await told('fifo'), /fifo: it is not a file/);
  assert.match(await told('a'), /a: its symbolic links lead in a circle/);
  assert.match(await told('/dev/zero'), /\/dev\/zero: it is not a file/);
  writeFileSync(join(directory, 'big'), Buffer.alloc(17 * 1024 * 1024, 0x20));
  assert.match(await told('big'), /it has 17825792 bytes; at most 4194304 are read/);
});

test('a podserve.yaml that leads nowhere is not passed over', async (t) => {
  const directory = scratchDirectory(t);
  symlinkSync('gone.yaml', join(directory, 'podserve.yaml'));
  await assert.rejects(loadConfig({ cwd: directory, env: {} }), { code: 'CONFIG_UNREADABLE', where: 'podserve.yaml' });
});
