import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';

import { leafSha256 } from '../../src/certificate/bundle.ts';
import { openLedger } from '../../src/ledger/open.ts';
import { readCurrent } from '../../src/publication/read.ts';
import { readCertbot } from '../../src/services/import/certbot.ts';
import { certbotDirectory, truncate, type CertbotDirectory } from '../support/certbot-directory.ts';
import { podserve, run, type Finished } from '../support/command.ts';
import { opensslCa, type MadeCertificate, type OpensslCa } from '../support/openssl-ca.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { treeOf } from '../support/tree.ts';

const cleanups: (() => void)[] = [];
let ca: OpensslCa;
/** For lab.test and www.lab.test, 60 days. */
let web: MadeCertificate;
/** The same names, 30 days. */
let shorter: MadeCertificate;
/** For mail.other.test. */
let mail: MadeCertificate;

before(async () => {
  ca = await opensslCa(scratchDirectory({ after: (work) => cleanups.push(work as () => void) }), 'House');
  web = await ca.leaf('web', { names: ['lab.test', 'www.lab.test'], days: 60 });
  shorter = await ca.leaf('shorter', { names: ['lab.test', 'www.lab.test'], days: 30 });
  mail = await ca.leaf('mail', { names: ['mail.other.test'], days: 60 });
});
after(() => {
  for (const cleanup of cleanups) cleanup();
});

interface Setup {
  readonly certbot: CertbotDirectory;
  readonly home: string;
  readonly publication: string;
  podserve(...args: string[]): Promise<Finished>;
  import(...args: string[]): Promise<Finished>;
}

function setup(t: TestContext): Setup {
  const directory = scratchDirectory(t);
  const certbot = certbotDirectory(join(directory, 'letsencrypt'));
  const home = join(directory, 'home');
  mkdirSync(home);
  writeFileSync(join(home, 'podserve.yaml'), 'certificates:\n  - { name: default, names: [lab.test, www.lab.test] }\n');
  const command = (...args: string[]): Promise<Finished> => podserve(args, { cwd: home });
  return {
    certbot,
    home,
    publication: join(home, 'data', 'certificates'),
    podserve: command,
    import: (...args) => command('import', 'certbot', certbot.path, ...args),
  };
}

async function servedAs(publication: string, name: string): Promise<string | undefined> {
  const generation = await readCurrent(publication, name);
  return generation === undefined ? undefined : leafSha256(generation.bundle.leaf);
}

function printed(letter: string, issuer: string): string {
  return `  - { name: ${letter}-test, names: ["mail.other.test"], issuers: [${issuer}] }`;
}

function fingerprint(made: MadeCertificate): string {
  return leafSha256(new X509Certificate(readFileSync(made.certificateFile)));
}

test('certbot itself takes the test directory for its own', async (t) => {
  const { certbot, home } = setup(t);
  certbot.add('lab.test', web);
  const own = ['--config-dir', certbot.path, '--work-dir', join(home, 'work'), '--logs-dir', join(home, 'logs')];
  const { code, stdout, stderr } = await run('certbot', ['certificates', ...own]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /Certificate Name: lab\.test[\s\S]*Domains: lab\.test www\.lab\.test[\s\S]*VALID/);
});

test('lineages are published: into the configured certificate they cover, else under a name with the line to add', async (t) => {
  const { certbot, home, publication, ...own } = setup(t);
  certbot.add('lab.test', shorter);
  certbot.add('lab.test', web);
  certbot.add('mail.other.test', mail);
  const untouched = treeOf(certbot.path);
  const { code, stdout, stderr } = await own.import();
  assert.equal(code, 0, stderr);
  assert.equal(await servedAs(publication, 'default'), fingerprint(web));
  assert.equal(await servedAs(publication, 'mail-other-test'), fingerprint(mail));
  const { manifest, bundle } = (await readCurrent(publication, 'default'))!;
  assert.deepEqual(
    [manifest.origin, manifest.issuer, manifest.placeholder, bundle.chain.length],
    ['imported', 'House Intermediate', false, 1],
  );
  assert.match(stdout, /lab\.test -> certificate default: imported: imported as generation 1, signed by House Intermediate/);
  assert.deepEqual(treeOf(certbot.path), untouched);

  // The printed lines are what podserve.yaml wants.
  const [, issuers, line] = /^(issuers:\n  .*\n)certificates:\n(  - \{ name: mail-other-test, .*\})$/m.exec(stdout) ?? [];
  assert.ok(line !== undefined, stdout);
  appendFileSync(join(home, 'podserve.yaml'), `${line}\n${issuers}`);
  const check = await own.podserve('certificates', '--mode', 'check');
  assert.equal(check.code, 0, check.stdout + check.stderr);
  assert.match(check.stdout, /mail-other-test: good: generation 1 of House Intermediate for mail\.other\.test/);
});

test('the printed lines name the CA that certbot renews with, so that no other replaces its certificate', async (t) => {
  const { certbot, home, ...own } = setup(t);
  const yaml = ['issuers:', '  house: { directory: "https://ca.house.test/acme/directory" }', ''].join('\n');
  writeFileSync(join(home, 'podserve.yaml'), yaml);
  for (const [name, server] of [
    ['a.test', 'https://ca.house.test/acme/directory/'],
    ['b.test', 'https://acme-v02.api.letsencrypt.org/directory'],
    ['c.test', 'https://acme-staging-v02.api.letsencrypt.org/directory'],
    ['d.test', 'https://ca.other.test:14000/dir'],
    ['e.test', 'https://ca.other.test:14000/dir'],
    ['f.test', 'https://ca.other.test:14000/another'],
    ['g.test', ''],
    ['h.test', 'http://ca.other.test/dir'],
    ['i.test', 'https://house/dir'],
  ] as const) {
    certbot.add(name, mail, server);
  }
  const { stdout, stderr } = await own.import('--dry-run');
  const lines = stdout.slice(stdout.indexOf('issuers:'));
  assert.deepEqual(lines.trimEnd().split('\n'), [
    'issuers:',
    '  ca-other-test-14000: { directory: "https://ca.other.test:14000/dir" }',
    '  ca-other-test-14000-2: { directory: "https://ca.other.test:14000/another" }',
    '  house-2: { directory: "https://house/dir" }',
    'certificates:',
    printed('a', 'house'),
    printed('b', 'letsencrypt'),
    printed('c', 'letsencrypt-staging'),
    printed('d', 'ca-other-test-14000'),
    printed('e', 'ca-other-test-14000'),
    printed('f', 'ca-other-test-14000-2'),
    printed('g', 'letsencrypt'),
    printed('i', 'house-2'),
  ]);
  assert.match(stderr, /^podserve import: h\.test: certbot renews it with no https:\/\/ server: add it to certificates/m);
});

test('an imported certificate is kept by the next renewal pass', async (t) => {
  const { certbot, publication, ...own } = setup(t);
  certbot.add('lab.test', web);
  await own.import();
  const renewal = await own.podserve('certificates', '--mode', 'renew');
  assert.equal(renewal.code, 0, renewal.stderr);
  assert.equal(await servedAs(publication, 'default'), fingerprint(web));
});

test('importing again does nothing and says so; a renewed lineage is taken', async (t) => {
  const { certbot, publication, ...own } = setup(t);
  certbot.add('lab.test', shorter);
  await own.import();
  const untouched = treeOf(publication);
  const again = await own.import();
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stdout, /default: unchanged: generation 1 is this certificate already/);
  assert.deepEqual(treeOf(publication), untouched);
  certbot.add('lab.test', web);
  assert.match((await own.import()).stdout, /imported as generation 2/);
  assert.equal(await servedAs(publication, 'default'), fingerprint(web));
});

test('what lives longer stays unless forced', async (t) => {
  const { certbot, publication, ...own } = setup(t);
  certbot.add('lab.test', web);
  await own.import();
  certbot.add('lab.test', shorter);
  const kept = await own.import();
  assert.equal(kept.code, 0);
  assert.match(kept.stdout, /default: kept: generation 1 of House Intermediate lives longer, to .*; --force replaces it/);
  assert.equal(await servedAs(publication, 'default'), fingerprint(web));
  assert.match((await own.import('--force')).stdout, /imported as generation 2/);
  assert.equal(await servedAs(publication, 'default'), fingerprint(shorter));
});

test('what lives longer but misses a configured name is replaced', async (t) => {
  const { certbot, home, publication, ...own } = setup(t);
  certbot.add('lab.test', await ca.leaf('apex', { names: ['lab.test'], days: 300 }));
  writeFileSync(join(home, 'podserve.yaml'), 'domain: lab.test\n');
  assert.equal((await own.import()).code, 0);
  writeFileSync(join(home, 'podserve.yaml'), 'certificates:\n  - { name: default, names: [lab.test, www.lab.test] }\n');
  certbot.add('lab.test', web);
  assert.match((await own.import()).stdout, /imported as generation 2/);
  assert.equal(await servedAs(publication, 'default'), fingerprint(web));
});

test('hand-made files are adopted first, so that a longer-lived one among them stays', async (t) => {
  const { certbot, publication, ...own } = setup(t);
  mkdirSync(join(publication, 'default'), { recursive: true });
  writeFileSync(join(publication, 'default', 'cert.pem'), readFileSync(web.fullchainFile));
  writeFileSync(join(publication, 'default', 'privkey.pem'), readFileSync(web.keyFile), { mode: 0o600 });
  certbot.add('lab.test', shorter);
  const { stdout } = await own.import();
  assert.match(stdout, /default: kept: generation 1/);
  assert.equal(await servedAs(publication, 'default'), fingerprint(web));
});

test('broken lineages are reported with file and reason, and the others are imported', async (t) => {
  const { certbot, publication, ...own } = setup(t);
  const live = (name: string, file: string): string => join(certbot.path, 'live', name, file);
  certbot.add('lab.test', web);
  for (const name of ['cut', 'gone', 'loop', 'mixed', 'garbage', 'pipe', 'unlinked']) certbot.add(name, mail);
  truncate(join(certbot.path, 'archive', 'cut', 'fullchain1.pem'));
  rmSync(join(certbot.path, 'archive', 'gone', 'privkey1.pem'));
  rmSync(live('loop', 'fullchain.pem'));
  symlinkSync('fullchain.pem', live('loop', 'fullchain.pem'));
  writeFileSync(join(certbot.path, 'archive', 'mixed', 'privkey1.pem'), readFileSync(web.keyFile));
  writeFileSync(join(certbot.path, 'archive', 'garbage', 'privkey1.pem'), '-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n');
  rmSync(join(certbot.path, 'archive', 'pipe', 'fullchain1.pem'));
  await run('mkfifo', [join(certbot.path, 'archive', 'pipe', 'fullchain1.pem')]);
  rmSync(join(certbot.path, 'live', 'unlinked'), { recursive: true });

  const { code, stdout, stderr } = await own.import();
  assert.equal(code, 1);
  assert.equal(await servedAs(publication, 'default'), fingerprint(web), stdout);
  const reported: [string, string, RegExp][] = [
    ['cut', live('cut', 'fullchain.pem'), /cut off/],
    ['gone', live('gone', 'privkey.pem'), /missing/],
    ['loop', live('loop', 'fullchain.pem'), /circle/],
    ['mixed', live('mixed', 'privkey.pem'), /does not belong/],
    ['garbage', live('garbage', 'privkey.pem'), /cannot be read/],
    ['pipe', live('pipe', 'fullchain.pem'), /pipe/],
    ['unlinked', live('unlinked', 'fullchain.pem'), /missing/],
  ];
  for (const [name, file, why] of reported) {
    const line = stderr.split('\n').find((one) => one.startsWith(`podserve import: ${name}: failed: ${file}: `));
    assert.match(line ?? stderr, why);
  }
  assert.doesNotMatch(stdout + stderr, /PRIVATE KEY|MIIB/);
});

test('an expired lineage goes nowhere, and that is no failure', async (t) => {
  const { certbot, publication, ...own } = setup(t);
  certbot.add('lab.test', await ca.leaf('expired', { names: ['lab.test', 'www.lab.test'], at: '90 days ago' }));
  const { code, stdout } = await own.import();
  assert.equal(code, 0);
  assert.match(stdout, /lab\.test: skipped: it expired on/);
  assert.equal(existsSync(join(publication, 'default')), false);
});

test('--dry-run says what would be done and changes nothing at all', async (t) => {
  const { certbot, home, ...own } = setup(t);
  certbot.add('lab.test', web);
  const { code, stdout } = await own.import('--dry-run', '--json');
  assert.equal(code, 0);
  const { lineages } = JSON.parse(stdout) as { lineages: { certificate: string; outcome: string }[] };
  assert.deepEqual(
    lineages.map(({ certificate, outcome }) => [certificate, outcome]),
    [['default', 'planned']],
  );
  assert.equal(existsSync(join(home, 'data')), false);
});

test('an import is on record in the ledger', async (t) => {
  const { certbot, home, ...own } = setup(t);
  assert.equal((await own.podserve('certificates', '--mode', 'init')).code, 0);
  certbot.add('lab.test', web);
  assert.equal((await own.import('--force')).code, 0);
  using ledger = openLedger(join(home, 'data', 'authority', 'ledger.sqlite'), Date.now()).ledger;
  const event = ledger.events({ certificate: 'default' }).find(({ kind }) => kind === 'imported');
  assert.equal(event?.generation, 2);
  assert.match(event?.detail ?? '', /lineage lab\.test of .*letsencrypt imported as generation 2/);
});

test('a lineage that certbot is renewing at this moment is read again', async (t) => {
  const { certbot } = setup(t);
  certbot.add('lab.test', web);
  const key = join(certbot.path, 'live', 'lab.test', 'privkey.pem');
  const target = readlinkSync(key);
  rmSync(key);
  symlinkSync(mail.keyFile, key);
  setTimeout(() => {
    symlinkSync(target, `${key}.new`);
    renameSync(`${key}.new`, key);
  }, 100);
  const { lineages, broken } = await readCertbot(certbot.path);
  assert.deepEqual([lineages.length, broken], [1, []]);
});

test('a directory that is none of certbot is wrong usage, an empty one a failure', async (t) => {
  const { certbot, home, ...own } = setup(t);
  const missing = await own.podserve('import', 'certbot', 'nowhere');
  assert.equal(missing.code, 2);
  assert.match(
    missing.stderr,
    /^podserve: this is no directory of certbot: .*nowhere\/live: it is missing; give the directory that holds live\/ .*\n$/,
  );
  assert.equal((await own.podserve('import', 'certbot')).code, 2);
  assert.equal((await own.podserve('import', 'acme.sh', certbot.path)).code, 2);
  const empty = await own.import();
  assert.equal(empty.code, 1);
  assert.match(empty.stderr, /nothing to import/);
  assert.equal(existsSync(join(home, 'data')), false);
});
