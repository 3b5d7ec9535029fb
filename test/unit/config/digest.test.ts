import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { configDigest } from '../../../src/config/digest.ts';
import { ROOT, writeConfig } from './support.ts';

test('the digest changes with whatever the configuration depends on, and with nothing else', async (t) => {
  const cwd = writeConfig(t, 'domain: a.example');
  const digest = async (env: Record<string, string> = {}, traits = ROOT, file?: string): Promise<string> => {
    return (await configDigest({ cwd, env, traits, file })).digest;
  };
  const first = await digest();
  assert.match(first, /^[0-9a-f]{64}$/);
  assert.equal(await digest({ PATH: '/bin', HOME: '/', CERT_NAMES: '' }), first);
  assert.equal(await digest({}, ROOT, 'podserve.yaml'), first, 'the same file, named');
  assert.notEqual(await digest({ DOMAIN: 'b.example' }), first);
  assert.notEqual(await digest({ CERT_UNKNOWN: 'x' }), first, 'it is warned of');
  assert.notEqual(await digest({}, { lowPorts: false, ipv6: true }), first);
  writeFileSync(join(cwd, 'podserve.yaml'), 'domain: a.example\n');
  assert.notEqual(await digest(), first);
});

test('the digest changes with the issuers, and with the directory that relative paths of variables begin at', async (t) => {
  const cwd = writeConfig(t, 'issuers: { letsencrypt: { profile: classic } }');
  const file = join(cwd, 'podserve.yaml');
  const digest = async (env: Record<string, string> = {}, from = cwd): Promise<string> => {
    return (await configDigest({ cwd: from, env, traits: ROOT, file })).digest;
  };
  const first = await digest();
  assert.equal(await digest({}, '/'), first);
  assert.notEqual(await digest({ CERT_PROFILE: 'tlsserver' }), first);
  assert.notEqual(await digest({ CERT_ACME_CA_FILE: 'ca.pem' }), await digest({ CERT_ACME_CA_FILE: 'ca.pem' }, '/'));
  writeFileSync(file, 'issuers: { letsencrypt: { profile: tlsserver } }');
  assert.notEqual(await digest(), first);
});

test('the digest says which file it is of', async (t) => {
  const cwd = writeConfig(t, '');
  assert.equal((await configDigest({ cwd, env: {} })).file, join(cwd, 'podserve.yaml'));
  assert.equal((await configDigest({ cwd: '/nonexistent', env: {} })).file, undefined);
  await assert.rejects(configDigest({ cwd, env: {}, file: 'gone.yaml' }), { code: 'CONFIG_UNREADABLE' });
});
