import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';

import { lockPublication } from '../../src/publication/lock.ts';
import type { RestoreReport } from '../../src/services/backup/restore.ts';
import {
  CONFIGURATION,
  OF_PROCESSES,
  publisher,
  homeIn,
  filledHome,
  succeeded,
  backedUp,
  inProcess,
  events,
  type Home,
} from '../support/backup-home.ts';
import { PODSERVE, run, start } from '../support/command.ts';
import { freePort, scratchDirectory } from '../support/scratch.ts';
import { scaled } from '../support/scale.ts';
import { treeOf } from '../support/tree.ts';

/** Seconds since the epoch. */
function endOfFirst({ state }: Home): number {
  return Math.floor(statSync(join(state, 'certificates', 'mail', '..gen-000001')).mtimeMs / 1000);
}

/** What the check says, with the home's own path taken out. */
async function check(one: Home): Promise<string> {
  return succeeded(await one.podserve('certificates', '--mode', 'check')).stdout.replaceAll(one.path, 'HOME');
}

test('a round trip gives back everything: files, links, modes, groups, history and configuration', async (t) => {
  const home = await filledHome(t);
  const anHourAgo = new Date(Date.now() - 3_600_000);
  utimesSync(join(home.state, 'certificates', 'mail', '..gen-000001'), anHourAgo, anHourAgo);
  const file = join(home.path, '..', 'backup.tar.gz');
  succeeded(await home.podserve('backup', file));
  const elsewhere = homeIn(join(home.path, '..', 'second'));
  const { stdout } = succeeded(await elsewhere.podserve('restore', file));
  assert.match(stdout, /restored from the backup of .*\n  certificates   2\n/);
  assert.deepEqual(treeOf(elsewhere.state, OF_PROCESSES), treeOf(home.state, OF_PROCESSES));
  assert.deepEqual(events(elsewhere), events(home));
  assert.equal(readFileSync(join(elsewhere.path, 'podserve.yaml'), 'utf8'), CONFIGURATION);
  const authority = statSync(join(elsewhere.state, 'authority'));
  assert.equal(authority.mode & 0o777, 0o700);

  assert.equal(await check(elsewhere), await check(home));
  // The retained generation keeps the moment at which it stopped being current.
  assert.equal(endOfFirst(elsewhere), endOfFirst(home));
});

test('ACME accounts and orders are in the backup with their modes, locks are not, and what lies elsewhere is said', async (t) => {
  const home = await filledHome(t);
  const issuer = join(home.state, 'authority', 'acme', 'house');
  mkdirSync(join(issuer, 'orders'), { recursive: true, mode: 0o700 });
  mkdirSync(join(home.state, 'authority', 'acme', '.locks'), { mode: 0o700 });
  for (const file of ['account.json', 'orders/default.json', '../.locks/default']) {
    writeFileSync(join(issuer, file), `{"of":"${file}"}`, { mode: 0o600 });
  }
  writeFileSync(
    join(home.path, 'podserve.yaml'),
    `${CONFIGURATION.replace('[lab.test] }', '[lab.test], issuers: [house, hook] }')}issuers:
  house: { directory: "https://ca.lab.test/dir", caFile: ca.pem, eab: { kid: x, hmacFile: data/authority/eab }, challenge: dns-01, dns01: { server: dns, tsigKeyFile: /run/secrets/tsig } }
  hook: { directory: "https://ca.lab.test/dir", challenge: dns-01, dns01: { exec: hook } }
`,
  );
  const file = join(home.path, '..', 'backup.tar.gz');
  const { stderr } = succeeded(await home.podserve('backup', file));
  const said = stderr.split('\n').filter((line) => line.includes('not in the backup'));
  assert.deepEqual(said, [
    'podserve backup: files that the configuration names are not in the backup, and a restored server needs them: ' +
      `${home.path}/ca.pem (issuers.house.caFile), /run/secrets/tsig (issuers.house.dns01.tsigKeyFile)`,
  ]);
  const elsewhere = homeIn(join(home.path, '..', 'second'));
  succeeded(await elsewhere.podserve('restore', file));
  const restored = join(elsewhere.state, 'authority', 'acme');
  assert.deepEqual(readdirSync(restored), ['house']);
  assert.deepEqual(treeOf(join(restored, 'house'), OF_PROCESSES), treeOf(issuer, OF_PROCESSES));
  for (const name of ['account.json', 'orders/default.json']) {
    assert.equal(statSync(join(restored, 'house', name)).mode & 0o777, 0o600, name);
  }
  assert.equal(statSync(join(restored, 'house', 'orders')).mode & 0o777, 0o700);
});

test('a backup is made of a wrong configuration too, and says so', async (t) => {
  const home = await filledHome(t);
  writeFileSync(join(home.path, 'podserve.yaml'), 'emial: x\n');
  const { stderr } = succeeded(await home.podserve('backup', join(home.path, '..', 'backup.tar.gz')));
  assert.match(stderr, /the configuration is in the backup as it is: the configuration is wrong: podserve\.yaml:1:1: emial/);
});

test('after a restore the same CA goes on: the next leaf is signed by the root that clients trust', async (t) => {
  const { home, file, elsewhere } = await backedUp(t);
  succeeded(await elsewhere.podserve('restore', file));
  succeeded(await elsewhere.podserve('certificates', '--mode', 'renew', '--force', '--name', 'default'));
  const certificates = join(elsewhere.state, 'certificates');
  succeeded(
    await run('openssl', [
      'verify',
      '-x509_strict',
      '-CAfile',
      join(home.state, 'certificates', 'ca.pem'),
      join(certificates, 'default', 'cert.pem'),
    ]),
  );
});

test('a backup is 0600 from its first byte, and says that it holds keys', async (t) => {
  const home = await filledHome(t);
  const trace = join(home.path, 'trace');
  const command = ['-f', '-e', 'trace=openat,rename,chmod', '-o', trace, PODSERVE, 'backup', '../b.tar.gz'];
  const { stderr } = succeeded(await run('sh', ['-c', 'umask 0; exec strace "$@"', 'sh', ...command], { cwd: home.path }));
  assert.match(stderr, /it holds private keys/);
  const lines = readFileSync(trace, 'utf8').split('\n');
  const made = lines.filter((line) => /openat\(.*\.podserve-backup-.*O_CREAT/.test(line));
  assert.ok(
    made.some((line) => /archive", .*O_CREAT\|O_EXCL.*, 0600\) = \d/.test(line)),
    made.join('\n'),
  );
  assert.ok(lines.some((line) => /rename\(".*\.podserve-backup-[^/]*\/archive", ".*b\.tar\.gz"\)/.test(line)));
  assert.equal(statSync(join(home.path, '..', 'b.tar.gz')).mode & 0o777, 0o600);
});

test('a backup never overwrites unless told to, and never goes into the state directory', async (t) => {
  const home = await filledHome(t);
  const file = join(home.path, '..', 'b.tar.gz');
  writeFileSync(file, 'precious');
  const refused = await home.podserve('backup', file);
  assert.equal(refused.code, 2);
  assert.match(
    refused.stderr,
    /^podserve: the backup cannot be written there: .*b\.tar\.gz: it exists; give another name, or --force to replace it\n$/,
  );
  assert.equal(readFileSync(file, 'utf8'), 'precious');
  succeeded(await home.podserve('backup', '--force', file));
  assert.notEqual(readFileSync(file, 'utf8'), 'precious');

  symlinkSync(home.state, join(home.path, 'other-way'));
  for (const inside of ['data/b.tar.gz', 'data/certificates/b.tar.gz', 'other-way/b.tar.gz']) {
    const { code, stderr } = await home.podserve('backup', inside);
    assert.equal(code, 2);
    assert.match(stderr, /inside the state directory/);
  }
  assert.equal((await home.podserve('backup', 'nowhere/b.tar.gz')).code, 2);
  assert.equal((await home.podserve('backup', '--state', 'elsewhere', '../c.tar.gz')).code, 2);
  assert.equal((await home.podserve('backup')).code, 2);
});

function pagesOfLedger(home: Home): number {
  const copy = join(home.path, '..', 'ledger-copy');
  const ledger = new DatabaseSync(join(home.state, 'authority', 'ledger.sqlite'), { readOnly: true });
  ledger.prepare('VACUUM INTO ?').run(copy);
  ledger.close();
  return Math.ceil(statSync(copy).size / 4096);
}

test('a full disk leaves no half backup, and the one that was there', async (t) => {
  const home = await filledHome(t);
  const small = join(home.path, '..', 'small');
  mkdirSync(small);
  // One that has no room for the ledger's copy, and one that has, but not for the archive.
  for (const [pages, line] of [
    [3, /the ledger cannot be copied: .*full; see whether there is room/],
    [pagesOfLedger(home) + 2, /the backup failed: .*ENOSPC.*free some space/],
  ] as const) {
    succeeded(await run('mount', ['-t', 'tmpfs', '-o', `size=${pages * 4}k`, 'tmpfs', small]));
    try {
      writeFileSync(join(small, 'b.tar.gz'), 'precious');
      const { code, stderr } = await home.podserve('backup', '--force', join(small, 'b.tar.gz'));
      assert.equal(code, 1, stderr);
      assert.match(stderr, line);
      assert.deepEqual(readdirSync(small), ['b.tar.gz']);
      assert.equal(readFileSync(join(small, 'b.tar.gz'), 'utf8'), 'precious');
    } finally {
      await run('umount', [small]);
    }
  }
});

async function renewUntil(home: Home, enough: AbortSignal): Promise<void> {
  while (!enough.aborted) succeeded(await home.podserve('certificates', '--mode', 'renew', '--force'));
}

test('a backup taken while certificates are renewed all the time is whole', async (t) => {
  const home = await filledHome(t);
  const enough = new AbortController();
  const renewing = renewUntil(home, enough.signal);
  for (let round = 0; round < scaled(20); round++) {
    const file = join(home.path, '..', `b${round}.tar.gz`);
    succeeded(await home.podserve('backup', file));
    const elsewhere = homeIn(join(home.path, '..', `restored-${round}`));
    const report = await inProcess(file, elsewhere);
    assert.deepEqual(report.warnings, []);
    succeeded(await elsewhere.podserve('certificates', '--mode', 'check'));
  }
  enough.abort();
  await renewing;
});

test('a damaged ledger or certificate does not hinder a backup; both are named', async (t) => {
  const home = await filledHome(t);
  writeFileSync(join(home.state, 'authority', 'ledger.sqlite'), 'garbage '.repeat(1000));
  for (const suffix of ['-wal', '-shm']) rmSync(join(home.state, 'authority', `ledger.sqlite${suffix}`), { force: true });
  writeFileSync(join(home.state, 'certificates', 'mail', '..gen-000002', 'cert.pem'), 'garbage');
  const file = join(home.path, '..', 'b.tar.gz');
  const { stderr } = succeeded(await home.podserve('backup', file));
  assert.match(stderr, /ledger .* is damaged .* without history/);
  assert.match(stderr, /certificate mail is in the backup as it is, damaged: .*cert\.pem/);
  const elsewhere = homeIn(join(home.path, '..', 'second'));
  const { warnings } = await inProcess(file, elsewhere);
  assert.match(warnings.join('\n'), /certificate mail is damaged in the backup itself/);
});

test('a state directory that is not empty is refused, and with --force moved aside with nothing lost', async (t) => {
  const { home, file, elsewhere } = await backedUp(t);
  mkdirSync(join(elsewhere.state, 'apache'), { recursive: true });
  writeFileSync(join(elsewhere.state, 'apache', 'own'), 'kept in place');
  writeFileSync(join(elsewhere.path, 'podserve.yaml'), 'domain: other.test\n');
  succeeded(await elsewhere.podserve('certificates', '--mode', 'init'));
  const present = treeOf(elsewhere.state, OF_PROCESSES);

  const refused = await elsewhere.podserve('restore', file);
  assert.equal(refused.code, 2);
  assert.match(
    refused.stderr,
    /^podserve: the state directory is not empty: .*data; give an empty one with --state DIR, or --force to move .*\n$/,
  );
  assert.deepEqual(treeOf(elsewhere.state, OF_PROCESSES), present);

  const report = JSON.parse(succeeded(await elsewhere.podserve('restore', '--force', '--json', file)).stdout) as RestoreReport;
  assert.match(report.aside ?? '', /data\.before-restore-\d{8}T\d{6}Z$/);
  const { 'apache/own': own, apache, ...parts } = present;
  assert.deepEqual(treeOf(report.aside ?? '', OF_PROCESSES), parts);
  assert.deepEqual(treeOf(elsewhere.state, OF_PROCESSES), { ...treeOf(home.state, OF_PROCESSES), 'apache/own': own, apache });
  assert.equal(readFileSync(join(elsewhere.path, 'podserve.yaml'), 'utf8'), CONFIGURATION);
  const configurations = readdirSync(elsewhere.path).filter((name) => name.startsWith('podserve.yaml.before-restore-'));
  assert.deepEqual(
    configurations.map((name) => readFileSync(join(elsewhere.path, name), 'utf8')),
    ['domain: other.test\n'],
  );
});

test('a configuration that is there and differs is kept, and how to see the other is said', async (t) => {
  const { file, elsewhere } = await backedUp(t);
  writeFileSync(join(elsewhere.path, 'podserve.yaml'), 'domain: other.test\n');
  const { stderr } = succeeded(await elsewhere.podserve('restore', file));
  const command = /(tar -xzOf \S+ podserve\.yaml)/.exec(stderr)?.[1] ?? '';
  assert.equal((await run('sh', ['-c', command])).stdout, CONFIGURATION);
  assert.equal(readFileSync(join(elsewhere.path, 'podserve.yaml'), 'utf8'), 'domain: other.test\n');
});

test('nothing is restored under a running service or a command that is publishing', async (t) => {
  const { home, file } = await backedUp(t);
  const configuration = join(scratchDirectory(t), 'podserve.yaml');
  writeFileSync(configuration, `${CONFIGURATION}certificateService: { status: '127.0.0.1:${await freePort()}' }\n`);
  const service = start(t, PODSERVE, ['certificates', '--mode', 'cron', '--config', configuration], { cwd: home.path });
  while (!existsSync(join(home.state, 'authority', 'resident.json'))) await new Promise((resolve) => setTimeout(resolve, 20));
  const untouched = treeOf(home.state, OF_PROCESSES);
  const running = await home.podserve('restore', '--force', file);
  assert.equal(running.code, 1);
  assert.match(running.stderr, /podserve runs here already.*certificates --mode cron/);
  assert.deepEqual(treeOf(home.state, OF_PROCESSES), untouched);
  service.child.kill('SIGTERM');
  await service.done;

  await using lock = await lockPublication(join(home.state, 'certificates'), { publisher, waitMs: 0 });
  const locked = await home.podserve('restore', '--force', file);
  assert.equal(locked.code, 1, lock.root);
  assert.match(locked.stderr, /another process is publishing/);
  assert.deepEqual(treeOf(home.state, OF_PROCESSES), untouched);
  assert.deepEqual(readdirSync(home.path), ['data', 'podserve.yaml']);
});

test('a user without the right to set groups gets keys for himself alone, and one line says so', async (t) => {
  const { file, elsewhere } = await backedUp(t);
  for (const place of [elsewhere.path, join(elsewhere.path, '..')]) chmodSync(place, 0o777);
  chmodSync(file, 0o644);
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
  const cache = { NODE_COMPILE_CACHE: join(elsewhere.path, 'cache') };
  const { stderr } = succeeded(await run('setpriv', [...nobody, PODSERVE, 'restore', file], { cwd: elsewhere.path, env: cache }));
  assert.match(stderr, /6 files with keys are readable by user 65534 alone/);
  assert.match(treeOf(elsewhere.state)['certificates/default/..gen-000001/privkey.pem'] ?? '', /^file 600 65534:65534 /);
});

test('what restore cannot use is named in one line', async (t) => {
  const { file, elsewhere } = await backedUp(t);
  for (const [args, line] of [
    [[], /what to restore/],
    [['nowhere.tar.gz'], /nowhere\.tar\.gz: there is no such file/],
    [['.'], /it is no file/],
  ] as const) {
    const { code, stderr } = await elsewhere.podserve('restore', ...args);
    assert.equal(code, 2);
    assert.match(stderr, line);
    assert.equal(stderr.trim().split('\n').length, 1);
  }
  mkdirSync(elsewhere.state);
  succeeded(await run('mount', ['-t', 'tmpfs', 'tmpfs', elsewhere.state]));
  try {
    // A mount point itself may be restored into; what cannot be renamed says so.
    const { code, stderr } = await elsewhere.podserve('restore', file);
    assert.equal(code, 1, basename(file));
    assert.match(stderr, /a part of it is a mount of its own/);
    assert.deepEqual(readdirSync(elsewhere.state), []);
  } finally {
    await run('umount', [elsewhere.state]);
  }
});
