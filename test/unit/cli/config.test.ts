import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { command } from '../../../src/cli/config.ts';
import { loadConfigApart } from '../../../src/config/apart.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { PODSERVE, podserve } from '../../support/command.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const FULL = `domain: lab.example.org
certificates:
  - name: default
    names: [lab.example.org, bücher.example, "*.lab.example.org", 10.0.0.1]
    consumers: [admin, web]
  - { name: "true", names: [b.example.org], lifetime: 36h, renewBefore: 90m }
consumers:
  web: { endpoints: ["https://[::1]:8443"] }
apache: { hsts: 365d, sites: [{ names: [www.lab.example.org], proxy: "http://a:1/" }, { certificate: "true" }] }
onEvent: { exec: /bin/true }
`;

interface Outcome {
  readonly code: number;
  readonly out: string[];
  readonly err: string[];
}

async function config(
  cwd: string,
  words: string[],
  options: Record<string, string | boolean> = {},
  env: Record<string, string> = {},
): Promise<Outcome> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await command.run(
    { values: options, positionals: words },
    {
      env: { PATH: process.env['PATH'], ...env },
      cwd,
      clock: systemClock,
      signal: new AbortController().signal,
      onHangup: () => () => undefined,
      out: (line) => void out.push(line),
      err: (line) => void err.push(line),
      interactive: false,
    },
  );
  return { code, out, err };
}

function directoryWith(t: TestContext, yaml: string): string {
  const directory = scratchDirectory(t);
  writeFileSync(join(directory, 'podserve.yaml'), yaml);
  return directory;
}

test('config check says what the file comes to, and what to beware of', async (t) => {
  const { code, out, err } = await config(directoryWith(t, FULL), ['check'], {}, { CERT_NAME: 'x' });
  assert.equal(code, 0);
  assert.deepEqual(out, [
    'podserve.yaml: right, 2 certificates',
    '  default: lab.example.org, bücher.example, *.lab.example.org, 10.0.0.1; local-ca; ecdsa-p256; lives 90d',
    '  true: b.example.org; local-ca; ecdsa-p256; lives 36h',
  ]);
  assert.deepEqual(err, ['warning: CERT_NAME is not known and not used; did you mean CERT_NAMES?']);
});

const WITH_ISSUERS = `domain: lab.example.org
email: admin@lab.example.org
issuers:
  house:
    directory: https://ca.lab.example.org/dir
    caFile: house.pem
    eab: { kid: abc, hmacFile: eab.key }
    profile: long
    preferredChain: House Root
    challenge: dns-01
    dns01: { server: dns, tsigKeyFile: acme.key, propagation: { servers: [ns1], timeout: 90s } }
    limits: { orders: 5/1h }
  letsencrypt: { http01: { listen: "5002" }, limits: { failures: none }, rehearse: true }
  hook: { directory: https://ca.lab.example.org/dir, challenge: dns-01, dns01: { exec: hook } }
resolvers: [dns]
certificates:
  - { name: default, names: [lab.example.org], issuers: [letsencrypt, house] }
  - { name: b, names: [b.example.org], issuers: ["https://other.example.org:14000/dir", hook, local-ca] }
`;

test('config check says which ACME servers are used, and how names are proven to them', async (t) => {
  const directory = directoryWith(t, WITH_ISSUERS);
  const { out } = await config(directory, ['check']);
  assert.deepEqual(out, [
    'podserve.yaml: right, 2 certificates',
    '  default: lab.example.org; letsencrypt, then house; ecdsa-p256',
    '  b: b.example.org; other-example-org-14000, then hook, then local-ca; ecdsa-p256; lives 90d',
    '  issuer house: https://ca.lab.example.org/dir; dns-01 by updates to dns:53; profile long',
    '  issuer letsencrypt: https://acme-v02.api.letsencrypt.org/directory; http-01 by an own listener at [::]:5002; rehearses against https://acme-staging-v02.api.letsencrypt.org/directory',
    '  issuer hook: https://ca.lab.example.org/dir; dns-01 by the program hook',
    '  issuer other-example-org-14000: https://other.example.org:14000/dir; http-01 by files in the challenges volume',
  ]);
});

test('config show has the ACME servers with where each value came from, and of secrets the files alone', async (t) => {
  const directory = directoryWith(t, WITH_ISSUERS);
  writeFileSync(join(directory, 'eab.key'), 'c2VjcmV0LWhtYWM');
  writeFileSync(join(directory, 'acme.key'), 'key "acme" { algorithm hmac-sha256; secret "c2VjcmV0LXRzaWc="; };');
  const { out } = await config(directory, ['show'], {}, { CERT_ISSUER: 'house', CERT_PROFILE: 'short', CERT_EAB_KID: 'xyz' });
  for (const line of [
    '  house:',
    '    directory: "https://ca.lab.example.org/dir" # podserve.yaml:5:16',
    '    email: admin@lab.example.org # default: from email',
    '      kid: xyz # CERT_EAB_KID',
    `      hmacFile: "${directory}/eab.key" # podserve.yaml:7:32`,
    '    profile: short # CERT_PROFILE',
    '        timeout: "90s" # podserve.yaml:11:90',
    '      orders: "5/1h" # podserve.yaml:12:23',
    '      orders: "300/3h" # default',
    '      failures: none # podserve.yaml:13:66',
    '    rehearse: "https://acme-staging-v02.api.letsencrypt.org/directory" # podserve.yaml:13:84',
    '    directory: "https://other.example.org:14000/dir" # default: from the URL that a certificate names',
    'resolvers: ["dns:53"] # podserve.yaml:15:12',
  ]) {
    assert.ok(out.includes(line), `${line}\n\n${out.join('\n')}`);
  }
  const json = await config(directory, ['show'], { json: true });
  assert.doesNotMatch(out.join() + json.out.join(), /c2VjcmV0/);
});

test('config check without a file says so', async (t) => {
  const { code, out } = await config(scratchDirectory(t), ['check']);
  assert.equal(code, 0);
  assert.equal(out[0], 'there is no configuration file; the defaults: come to 1 certificate');
});

test('config check --json is one object, right or wrong', async (t) => {
  const directory = directoryWith(t, FULL);
  const right = await config(directory, ['check'], { json: true });
  assert.deepEqual(JSON.parse(right.out.join()), {
    ok: true,
    file: join(directory, 'podserve.yaml'),
    certificates: 2,
    issuers: [],
    warnings: [],
  });
  const wrong = await config(directoryWith(t, 'emial: 1\ndomian: 2'), ['check'], { json: true });
  assert.equal(wrong.code, 2);
  const { ok, error } = JSON.parse(wrong.out.join()) as { ok: boolean; error: { code: string; problems: string[] } };
  assert.deepEqual([ok, error.code, error.problems.length], [false, 'CONFIG_INVALID', 2]);
});

test('config check warns of each file, directory and program of an issuer that is not there, and of nothing else', async (t) => {
  const server = 'directory: "https://ca.lab.example.org/directory"';
  const yaml = [
    'certificates: [{ name: default, names: [lab.example.org], issuers: [web, dns, exec] }]',
    'issuers:',
    `  web: { ${server}, caFile: root.pem, eab: { kid: a, hmacFile: hmac }, http01: { webroot: tokens } }`,
    `  dns: { ${server}, challenge: dns-01, dns01: { server: "192.0.2.1", tsigKeyFile: tsig.key } }`,
    `  exec: { ${server}, challenge: dns-01, dns01: { exec: ./hook } }`,
    '',
  ].join('\n');
  const directory = directoryWith(t, yaml);
  mkdirSync(join(directory, 'hmac'));
  writeFileSync(join(directory, 'tokens'), '');
  writeFileSync(join(directory, 'hook'), '#!/bin/sh\n', { mode: 0o644 });
  const { code, out, err } = await config(directory, ['check']);
  assert.equal(code, 0);
  assert.match(out[0] ?? '', /right, 1 certificate/);
  assert.deepEqual(err, [
    `warning: issuers.web.caFile: ${directory}/root.pem cannot be used here: there is no such file`,
    `warning: issuers.web.eab.hmacFile: ${directory}/hmac cannot be used here: it is not a file`,
    `warning: issuers.web.http01.webroot: ${directory}/tokens cannot be used here: it is no directory`,
    `warning: issuers.dns.dns01.tsigKeyFile: ${directory}/tsig.key cannot be used here: there is no such file`,
    `warning: issuers.exec.dns01.exec: ${directory}/hook cannot be used here: this user may not execute it (chmod +x makes it a program)`,
  ]);
  const json = await config(directory, ['check'], { json: true });
  const { ok, warnings } = JSON.parse(json.out[0] ?? '') as { ok: boolean; warnings: string[] };
  assert.deepEqual([json.code, ok, warnings.length], [0, true, 5]);

  for (const name of ['hmac', 'tokens']) rmSync(join(directory, name), { recursive: true });
  mkdirSync(join(directory, 'tokens'));
  for (const name of ['root.pem', 'hmac', 'tsig.key']) writeFileSync(join(directory, name), '');
  chmodSync(join(directory, 'hook'), 0o755);
  assert.deepEqual((await config(directory, ['check'])).err, []);
});

test('config check refuses a program of onEvent that is missing or cannot be executed', async (t) => {
  const directory = directoryWith(t, 'onEvent: { exec: ./notify }');
  await assert.rejects(config(directory, ['check']), {
    code: 'CONFIG_INVALID',
    why: /onEvent\.exec: .*notify cannot be called: there is no such file/,
  });
  writeFileSync(join(directory, 'notify'), '#!/bin/sh\n');
  chmodSync(join(directory, 'notify'), 0o644);
  await assert.rejects(config(directory, ['check']), { why: /this user may not execute it \(chmod \+x/ });
  chmodSync(join(directory, 'notify'), 0o755);
  assert.equal((await config(directory, ['check'])).code, 0);
  assert.equal((await config(directoryWith(t, 'onEvent: { exec: sh }'), ['check'])).code, 0, 'a bare name is looked for in PATH');
  await assert.rejects(config(directoryWith(t, 'onEvent: { exec: no-such-program }'), ['check']), { why: /it is not in PATH/ });
  await assert.rejects(config(directoryWith(t, 'onEvent: { exec: /bin/mail -s x }'), ['check']), { why: /one program without arguments/ });
});

test('config show says of each value where it came from', async (t) => {
  const { code, out } = await config(directoryWith(t, FULL), ['show'], {}, { CERT_KEY_TYPE: 'rsa-2048', LOG_LEVEL: 'debug' });
  assert.equal(code, 0);
  for (const line of [
    'domain: lab.example.org # podserve.yaml:1:9',
    '  - name: default # podserve.yaml:3:11',
    '    names: [lab.example.org, "bücher.example", "*.lab.example.org", "10.0.0.1"] # podserve.yaml:4:12',
    '    issuers: [local-ca] # default',
    '    keyType: rsa-2048 # CERT_KEY_TYPE',
    '  - name: "true" # podserve.yaml:6:13',
    '    keyType: ecdsa-p256 # default',
    '    lifetime: "36h" # podserve.yaml:6:55',
    '    renewBefore: "90m" # podserve.yaml:6:73',
    '    endpoints: ["https://localhost:8443"] # default: where this program serves it',
    '    endpoints: ["https://[::1]:8443"] # podserve.yaml:8:21',
    '  hsts: 31536000 # podserve.yaml:9:17',
    '      proxy: "http://a:1/" # podserve.yaml:9:70',
    '  level: debug # LOG_LEVEL',
  ]) {
    assert.ok(out.includes(line), `${line}\n\n${out.join('\n')}`);
  }
});

test('what config show prints means the same when it is read as the file', async (t) => {
  for (const yaml of [FULL, WITH_ISSUERS, '']) {
    const directory = directoryWith(t, yaml);
    const before = await loadConfig({ cwd: directory, env: {} });
    for (const options of [{}, { values: true }]) {
      const { out } = await config(directory, ['show'], options);
      const again = await loadConfig({ cwd: directoryWith(t, out.join('\n')), env: {} });
      assert.deepEqual({ ...again, file: before.file }, before);
    }
  }
});

test('config show --json has the configuration and the origin of each value', async (t) => {
  const directory = directoryWith(t, FULL);
  const { out } = await config(directory, ['show'], { json: true }, { LOG_LEVEL: 'warn' });
  const shown = JSON.parse(out.join()) as { file: string; config: { domain: string }; origins: Record<string, unknown> };
  assert.deepEqual([shown.file, shown.config.domain], [join(directory, 'podserve.yaml'), 'lab.example.org']);
  assert.deepEqual(shown.origins['certificates[1].lifetime'], { kind: 'file', file: 'podserve.yaml', line: 6, column: 55 });
  assert.deepEqual(shown.origins['log.level'], { kind: 'environment', variable: 'LOG_LEVEL' });
  assert.deepEqual(shown.origins['log.format'], { kind: 'default' });
});

test('a service has a large file read by a process of its own, with the same result', async (t) => {
  const lines = Array.from(
    { length: 200 },
    (_, index) => `  - { name: c${index}, names: [c${index}.example.org], issuers: [self-signed] }`,
  );
  const directory = directoryWith(t, `${WITH_ISSUERS}${lines.join('\n')}\n`);
  const options = { cwd: directory, env: { ...process.env, LOG_LEVEL: 'error' } };
  const apart = await loadConfigApart(options, [PODSERVE]);
  assert.deepEqual(apart, await loadConfig(options));
  assert.ok(Object.isFrozen(apart.certificates[5]?.identifiers));
  assert.equal(Object.getPrototypeOf(apart.issuers), null, 'issuers.constructor is nobody');
  assert.equal(new Set(apart.certificates.slice(2).map(({ issuers }) => issuers)).size, 1, 'lists are shared again');
  await assert.rejects(loadConfigApart(options, [join(directory, 'gone')]), { code: 'CONFIG_UNREADABLE', why: /ENOENT/ });
  await assert.rejects(loadConfigApart(options, ['/bin/false']), { code: 'CONFIG_UNREADABLE' });
  await assert.rejects(loadConfigApart(options, ['/bin/echo']), { code: 'CONFIG_UNREADABLE' });
  writeFileSync(join(directory, 'podserve.yaml'), `certificates:\n${lines.join('\n')}\nemial: x\ndomian: y\n`);
  const told = await loadConfig(options).catch((error: unknown) => error);
  await assert.rejects(loadConfigApart(options, [PODSERVE]), told as Error);
});

test('config with another word, or one too many, is wrong usage', async () => {
  await assert.rejects(config('/', []), { code: 'USAGE', why: 'it needs check, show or schema' });
  await assert.rejects(config('/', ['chekc']), { code: 'USAGE', why: 'there is no config "chekc"' });
  await assert.rejects(config('/', ['check', 'x']), { code: 'USAGE', why: '"x" is one word too many' });
});

test('a wrong file ends the command with exit code 2, its first line naming the file and one line for each problem', async (t) => {
  const { code, stdout, stderr } = await podserve(['config', 'check'], { cwd: directoryWith(t, 'emial: 1\ndomian: 2\n') });
  assert.deepEqual([code, stdout], [2, '']);
  assert.deepEqual(stderr.trimEnd().split('\n'), [
    'podserve: the configuration is wrong: podserve.yaml: 2 problems',
    '  podserve.yaml:1:1: emial: there is no such key; did you mean email?',
    '  podserve.yaml:2:1: domian: there is no such key; did you mean domain?',
  ]);
});
