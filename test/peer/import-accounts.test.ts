import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { readAccount } from '../../src/issuers/acme/account-file.ts';
import { acmeLab } from '../support/acme-lab.ts';
import { podserve, run, type Finished } from '../support/command.ts';
import { startPebble } from '../support/daemons/pebble.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { treeOf } from '../support/tree.ts';

const PRODUCTION = 'acme-v02.api.letsencrypt.org/directory';
const STAGING = 'acme-staging-v02.api.letsencrypt.org/directory';

interface Setup {
  readonly certbot: string;
  readonly home: string;
  readonly acme: string;
  import(...args: string[]): Promise<Finished>;
  /** As certbot writes one. */
  add(server: string, id: string, account: { readonly key?: KeyObject; readonly created?: string; readonly number?: number }): KeyObject;
  /** A lineage that is renewed with an account. */
  renews(lineage: string, id: string): void;
}

function setup(t: TestContext, issuers: object = {}): Setup {
  const directory = scratchDirectory(t);
  const [certbot, home] = [join(directory, 'letsencrypt'), join(directory, 'home')];
  mkdirSync(join(certbot, 'renewal'), { recursive: true });
  mkdirSync(home);
  writeFileSync(join(home, 'podserve.yaml'), JSON.stringify({ domain: 'lab.example.org', issuers }));
  return {
    certbot,
    home,
    acme: join(home, 'data/authority/acme'),
    import: (...args) => podserve(['import', 'certbot', certbot, ...args], { cwd: home }),
    add(
      server,
      id,
      { key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, created = '2026-01-01T00:00:00Z', number = 1 },
    ) {
      const path = join(certbot, 'accounts', server, id);
      mkdirSync(path, { recursive: true, mode: 0o700 });
      const write = (file: string, content: object): void => writeFileSync(join(path, file), JSON.stringify(content), { mode: 0o400 });
      write('private_key.json', key.export({ format: 'jwk' }));
      write('regr.json', { body: {}, uri: `https://${server.split('/')[0]}/acme/acct/${number}` });
      write('meta.json', { creation_dt: created, creation_host: 'old.lab.example.org' });
      return key;
    },
    renews(lineage, id) {
      appendFileSync(
        join(certbot, 'renewal', `${lineage}.conf`),
        `version = 2.1.0\n[renewalparams]\naccount = ${id}\nserver = https://${PRODUCTION}\n`,
      );
    },
  };
}

function isKey(stored: KeyObject | undefined, key: KeyObject): boolean {
  return stored !== undefined && createPublicKey(stored).equals(createPublicKey(key));
}

test('accounts of production and staging become those of the issuers, RSA and ECDSA, and certbot keeps them', async (t) => {
  const own = setup(t);
  const rsa = own.add(PRODUCTION, 'aaa', { number: 41 });
  const ec = own.add(STAGING, 'bbb', { key: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey, number: 42 });
  const untouched = treeOf(own.certbot);
  const planned = await own.import('--dry-run');
  assert.match(planned.stdout, /acct\/41 of .* -> issuer letsencrypt: planned: it would become the account of letsencrypt$/m);
  assert.equal(existsSync(own.acme), false);
  const { code, stdout, stderr } = await own.import();
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^account https:\/\/acme-v02\.api\.letsencrypt\.org\/acme\/acct\/41 of .* -> issuer letsencrypt: imported: /m);
  const production = readAccount(join(own.acme, 'letsencrypt'), `https://${PRODUCTION}`);
  assert.deepEqual([production?.url, isKey(production?.key, rsa)], ['https://acme-v02.api.letsencrypt.org/acme/acct/41', true]);
  const staging = readAccount(join(own.acme, 'letsencrypt-staging'), `https://${STAGING}`);
  assert.deepEqual([staging?.url, isKey(staging?.key, ec)], ['https://acme-staging-v02.api.letsencrypt.org/acme/acct/42', true]);
  assert.deepEqual(treeOf(own.certbot), untouched);
  const again = await own.import();
  assert.equal(again.code, 0);
  assert.match(again.stdout, /acct\/41 of .* unchanged: letsencrypt has this account already$/m);
});

test('an account that the issuer has already stays', async (t) => {
  const own = setup(t);
  const first = own.add(PRODUCTION, 'aaa', { number: 1 });
  await own.import();
  own.add(PRODUCTION, 'bbb', { number: 2, created: '2026-06-01T00:00:00Z' });
  const { code, stdout } = await own.import();
  assert.equal(code, 0);
  assert.match(stdout, /acct\/2 of .* -> issuer letsencrypt: kept: letsencrypt has the account .*acct\/1 already, which stays$/m);
  assert.ok(isKey(readAccount(join(own.acme, 'letsencrypt'), `https://${PRODUCTION}`)?.key, first));
});

test('of several accounts the one that most lineages are renewed with is taken, else the newest', async (t) => {
  const own = setup(t);
  const used = own.add(PRODUCTION, 'aaa', { number: 1, created: '2020-01-01T00:00:00Z' });
  own.add(PRODUCTION, 'bbb', { number: 2 });
  own.add(STAGING, 'ccc', { number: 3, created: '2020-01-01T00:00:00Z' });
  const newer = own.add(STAGING, 'ddd', { number: 4 });
  own.renews('one', 'aaa');
  own.renews('two', 'aaa');
  own.renews('three', 'bbb');
  const { stdout } = await own.import();
  assert.match(stdout, /acct\/2 of .*: skipped: aaa is taken: 2 lineages are renewed with it, 1 with this one$/m);
  assert.match(stdout, /acct\/3 of .*: skipped: ddd is taken: it is newer$/m);
  assert.ok(isKey(readAccount(join(own.acme, 'letsencrypt'), `https://${PRODUCTION}`)?.key, used));
  assert.ok(isKey(readAccount(join(own.acme, 'letsencrypt-staging'), `https://${STAGING}`)?.key, newer));
});

test('an account of another server goes to the issuers with its directory URL, and nowhere without one', async (t) => {
  const house = { directory: 'https://ca.lab.example.org:14000/acme/dir', challenge: 'http-01' };
  const own = setup(t, { house, twin: house });
  own.add('ca.lab.example.org:14000/acme/dir', 'aaa', { number: 7 });
  own.add('ca.other.example.org/dir', 'bbb', { number: 8 });
  const { code, stdout } = await own.import('--json');
  assert.equal(code, 0);
  const { accounts } = JSON.parse(stdout) as { accounts: { account: string; issuer?: string; outcome: string; detail: string }[] };
  assert.deepEqual(
    accounts.map(({ account, issuer, outcome }) => [account, issuer, outcome]),
    [
      ['aaa', 'house', 'imported'],
      ['aaa', 'twin', 'imported'],
      ['bbb', undefined, 'skipped'],
    ],
  );
  assert.equal(accounts[2]?.detail, 'no issuer has the directory https://ca.other.example.org/dir: configure one, and import again');
});

test('an account that cannot be read is told without anything of its key, and hinders no other', async (t) => {
  const own = setup(t);
  own.add(STAGING, 'good', { number: 1 });
  const keys = ['cut', 'mixed'].map((id) => own.add(PRODUCTION, id, { number: 2 }));
  const secrets = keys.map((key) => key.export({ format: 'jwk' }).d ?? '');
  const fileOf = (id: string): string => join(own.certbot, 'accounts', PRODUCTION, id, 'private_key.json');
  const cut = readFileSync(fileOf('cut'), 'utf8');
  writeFileSync(fileOf('cut'), cut.slice(0, cut.length / 2));
  writeFileSync(fileOf('mixed'), JSON.stringify({ ...keys[1]?.export({ format: 'jwk' }), n: keys[0]?.export({ format: 'jwk' }).n }));
  const { code, stdout, stderr } = await own.import();
  assert.equal(code, 1);
  for (const id of ['cut', 'mixed']) {
    assert.match(
      stderr,
      new RegExp(`^podserve import: account ${id} of .*: failed: .*/${id}/private_key\\.json is no private key that can be read$`, 'm'),
    );
  }
  assert.ok(!secrets.some((secret) => (stdout + stderr).includes(secret.slice(0, 20))));
  assert.match(stdout, /acct\/1 of .* -> issuer letsencrypt-staging: imported/);
});

test('an account whose URL no order could use is not taken, and links in a circle hinder nothing', async (t) => {
  const own = setup(t);
  own.add(PRODUCTION, 'plain', {});
  const registration = join(own.certbot, 'accounts', PRODUCTION, 'plain', 'regr.json');
  rmSync(registration);
  writeFileSync(registration, JSON.stringify({ body: {}, uri: 'http://acme-v02.api.letsencrypt.org/acme/acct/1' }));
  symlinkSync('circle', join(own.certbot, 'accounts', 'circle'));
  const { code, stderr } = await own.import();
  assert.equal(code, 1);
  assert.match(stderr, /^podserve import: account plain of .*: failed: .*\/regr\.json does not say its https:\/\/ URL$/m);
  assert.equal(existsSync(own.acme), false);
});

test('an account that certbot made at Pebble orders for this program, without a second one', async (t) => {
  // certbot 2.1 breaks (AttributeError) at some refused nonces.
  const pebble = await startPebble(t, { authzReuse: 0, nonceReject: 0 });
  const lab = await acmeLab(t, pebble, pebble);
  const certbot = scratchDirectory(t);
  const what = [
    'certonly',
    '--standalone',
    '--http-01-port',
    String(pebble.httpPort),
    '--http-01-address',
    '127.0.0.1',
    '-d',
    'old.lab.test',
  ];
  const how = ['--non-interactive', '--agree-tos', '--register-unsafely-without-email', '--server', pebble.directory];
  const where = ['--config-dir', certbot, '--work-dir', join(lab.cwd, 'work'), '--logs-dir', join(lab.cwd, 'logs')];
  const made = await run('certbot', [...what, ...how, ...where], { env: { REQUESTS_CA_BUNDLE: pebble.caFile } });
  assert.equal(made.code, 0, made.stdout + made.stderr);
  const server = new URL(pebble.directory);
  const accounts = join(certbot, 'accounts', server.host + server.pathname);
  const { uri } = JSON.parse(readFileSync(join(accounts, readdirSync(accounts)[0] ?? '', 'regr.json'), 'utf8')) as { uri: string };
  const imported = await podserve(['import', 'certbot', certbot, '--state', lab.state], { cwd: lab.cwd });
  assert.equal(imported.code, 0, imported.stderr);
  assert.match(imported.stdout, /-> issuer pebble: imported: it is the account of pebble now$/m);
  const renewed = await lab.certificates('renew');
  assert.equal(renewed.code, 0, renewed.stderr);
  assert.equal((await lab.current())?.manifest.placeholder, false);
  assert.equal(readAccount(join(lab.state, 'authority/acme/pebble'), pebble.directory)?.url, uri);
  assert.deepEqual(
    [...pebble.log().matchAll(/There are now (\d+) accounts/g)].map(([, count]) => count),
    ['1'],
  );
});
