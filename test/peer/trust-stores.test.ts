import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { parseCertificates } from '../../src/certificate/bundle.ts';
import { parseIdentifiers } from '../../src/certificate/identifier.ts';
import { openLocalCa } from '../../src/issuers/local-ca/local-ca.ts';
import { DAY } from '../../src/platform/clock.ts';
import { trustIn, untrustIn } from '../../src/platform/trust/change.ts';
import { RED_HAT, systemStore } from '../../src/platform/trust/system-store.ts';
import { PODSERVE, podserve, run, type Finished } from '../support/command.ts';
import { scratchDirectory } from '../support/scratch.ts';

interface Setup {
  readonly directory: string;
  readonly state: string;
  readonly home: string;
  /** Runs `podserve ca …` for that state directory and home. */
  readonly ca: (...args: readonly string[]) => Promise<Finished>;
}

/** A state directory whose CA has two roots, the second announced, and the home of a user without any browser data. */
async function setup(t: TestContext, env: Readonly<Record<string, string>> = {}): Promise<Setup> {
  const directory = scratchDirectory(t);
  const [state, home] = [join(directory, 'data'), join(directory, 'home')];
  mkdirSync(home);
  mkdirSync(join(state, 'certificates'), { recursive: true });
  const names = parseIdentifiers(['lab.example.org', 'bücher.example', '203.0.113.7']);
  const now = Date.now();
  const open = (permit = names): ReturnType<typeof openLocalCa> => openLocalCa({ directory: join(state, 'authority', 'local-ca'), permit });
  await open().prepare(now - 40 * DAY, names);
  const wider = [...names, ...parseIdentifiers(['new.example'])];
  const { pem } = await open(wider).prepare(now, wider);
  writeFileSync(join(state, 'certificates', 'ca.pem'), pem);
  const ca = (...args: readonly string[]): Promise<Finished> =>
    podserve(['ca', ...args, '--state', state], { env: { HOME: home, SUDO_USER: '', ...env } });
  return { directory, state, home, ca };
}

/** A Firefox profile as its first start leaves it. */
async function firefoxProfile(home: string, place = '.mozilla/firefox/abcd.default'): Promise<string> {
  const profile = join(home, place);
  mkdirSync(profile, { recursive: true });
  await must('certutil', ['-N', '--empty-password', '-d', `sql:${profile}`]);
  return profile;
}

async function must(program: string, args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, { input });
  assert.equal(code, 0, `${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Nickname and trust of what is in an NSS database. */
async function listed(database: string): Promise<string[]> {
  const lines = (await must('certutil', ['-L', '-d', `sql:${database}`])).split('\n');
  return lines.filter((line) => /,.*,/.test(line) && !line.includes('S/MIME')).map((line) => line.trim().replaceAll(/\s{2,}/g, ' '));
}

function nicknames(state: string): string[] {
  return parseCertificates(readFileSync(join(state, 'certificates', 'ca.pem'), 'utf8')).map(
    ({ subject }) => /^CN=(.+)$/m.exec(subject)?.[1] ?? '',
  );
}

/** In a mount namespace of its own, where the system's directories are copies. */
async function inOwnSystem({ directory, state, home }: Setup, script: string): Promise<Finished> {
  cpSync('/etc/ssl/certs', join(directory, 'certs'), { recursive: true, verbatimSymlinks: true });
  mkdirSync(join(directory, 'anchors'), { recursive: true });
  const mounts = [
    `mount --bind ${join(directory, 'certs')} /etc/ssl/certs`,
    `mount --bind ${join(directory, 'anchors')} /usr/local/share/ca-certificates`,
  ];
  const shell = ['set -e', ...mounts, `ca() { ${PODSERVE} ca "$@" --store system --state ${state}; }`, script].join('\n');
  return run('unshare', ['--map-root-user', '--mount', 'sh', '-c', shell], { env: { HOME: home, SUDO_USER: '' } });
}

describe('podserve ca trust and untrust for the browsers', () => {
  test('Chromium that never ran and every Firefox profile trust all roots; the second time nothing changes', async (t) => {
    const { home, state, ca } = await setup(t);
    const places = ['.mozilla/firefox/abcd.default', '.config/mozilla/firefox/x.y', 'snap/firefox/common/.mozilla/firefox/z.default'];
    const databases = [join(home, '.pki', 'nssdb')];
    for (const place of places) databases.push(await firefoxProfile(home, place));
    const roots = nicknames(state);

    const first = await ca('trust', '--store', 'chromium', '--store', 'firefox');
    assert.equal(first.code, 0, first.stderr);
    for (const database of databases) {
      assert.deepEqual(
        await listed(database),
        roots.map((root) => `${root} C,,`),
      );
      for (const root of roots) assert.ok(first.stdout.includes(`(${database}): ${root} is trusted now\n`), first.stdout);
    }

    const bytes = (): Buffer[] => databases.map((database) => readFileSync(join(database, 'cert9.db')));
    const before = bytes();
    const again = await ca('trust', '--store', 'chromium', '--store', 'firefox');
    assert.deepEqual(bytes(), before, 'the second time no database is written');
    assert.equal(again.code, 0);
    assert.equal(again.stdout.match(/was trusted already/g)?.length, 8);
    assert.doesNotMatch(again.stdout, /now/);

    const removed = await ca('untrust', '--store', 'chromium', '--store', 'firefox');
    assert.equal(removed.stdout.match(/is removed/g)?.length, 8);
    for (const database of databases) assert.deepEqual(await listed(database), []);
    assert.equal((await ca('untrust', '--store', 'chromium', '--store', 'firefox')).stdout.match(/was not there/g)?.length, 8);
  });

  test('only what is missing is added, and a root that is there without trust is repaired', async (t) => {
    const { home, state, ca } = await setup(t);
    const profile = await firefoxProfile(home);
    const roots = nicknames(state);
    const [, second] = parseCertificates(readFileSync(join(state, 'certificates', 'ca.pem'), 'utf8'));
    await must('certutil', ['-A', '-d', `sql:${profile}`, '-n', roots[1] ?? '', '-t', ',,', '-a'], second?.toString());
    const { stdout } = await ca('trust', '--store', 'firefox');
    assert.equal(stdout.match(/is trusted now/g)?.length, 2);
    assert.deepEqual(
      (await listed(profile)).sort(),
      roots.map((root) => `${root} C,,`),
    );
  });

  test('a root that the user imported under another name counts, and is removed too', async (t) => {
    const { home, state, ca } = await setup(t);
    const profile = await firefoxProfile(home);
    const [root] = parseCertificates(readFileSync(join(state, 'certificates', 'ca.pem'), 'utf8'));
    await must(
      'certutil',
      ['-A', '-d', `sql:${profile}`, '-n', 'PodServe local CA 1 abc - PodServe', '-t', 'CT,C,C', '-a'],
      root?.toString(),
    );
    assert.match((await ca('trust', '--store', 'firefox')).stdout, /local CA 1 \w+ was trusted already\n.*local CA 2 \w+ is trusted now/);
    await ca('untrust', '--store', 'firefox');
    assert.deepEqual(await listed(profile), []);
  });

  test('what others put into the store stays there', async (t) => {
    const { home, ca } = await setup(t);
    const other = await setup(t);
    const profile = await firefoxProfile(home);
    await must('certutil', ['-S', '-d', `sql:${profile}`, '-n', 'mine', '-s', 'CN=mine', '-x', '-t', 'C,,', '-z', '/etc/os-release']);
    await podserve(['ca', 'trust', '--store', 'firefox', '--state', other.state], { env: { HOME: home } });
    await ca('trust', '--store', 'firefox');
    await ca('untrust', '--store', 'firefox');
    assert.deepEqual((await listed(profile)).sort(), ['mine Cu,u,u', ...nicknames(other.state).map((root) => `${root} C,,`)].sort());
    assert.equal((await ca('untrust', '--all', '--store', 'firefox')).stdout.match(/is removed/g)?.length, 2);
    assert.deepEqual(await listed(profile), ['mine Cu,u,u']);
  });

  test('--all takes roots out whose state directory is gone', async (t) => {
    const { home, state, ca } = await setup(t);
    const profile = await firefoxProfile(home);
    await ca('trust', '--store', 'firefox');
    rmSync(state, { recursive: true });
    const { code, stderr } = await ca('untrust', '--store', 'firefox');
    assert.equal(code, 1);
    assert.match(stderr, /there is no built-in CA here yet/);
    assert.equal((await ca('untrust', '--all', '--store', 'firefox')).code, 0);
    assert.deepEqual(await listed(profile), []);
    assert.match((await ca('untrust', '--all', '--store', 'firefox')).stdout, /holds no root of PodServe/);
  });

  test('without certutil it names the package, goes on with the other stores, and exits 1', async (t) => {
    const { directory, home, state } = await setup(t);
    await firefoxProfile(home);
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    for (const program of ['sh', 'dirname', 'readlink', 'node', 'update-ca-certificates']) {
      const path = (await run('sh', ['-c', `command -v ${program}`])).stdout.trim();
      symlinkSync(path, join(bin, program));
    }
    // Every directory that has certutil on a usual machine lies outside this PATH.
    const { code, stderr, stdout } = await run(PODSERVE, ['ca', 'trust', '--json', '--store', 'firefox', '--state', state], {
      env: { HOME: home, PATH: bin },
    });
    assert.equal(code, 1, stderr);
    assert.match(stdout, /certutil did not do its work: it is not installed; install the package libnss3-tools/);
  });

  test('a damaged database fails with its path; the others are served', async (t) => {
    const { home, ca } = await setup(t);
    const [good, bad] = [await firefoxProfile(home, '.mozilla/firefox/good'), join(home, '.mozilla/firefox/bad')];
    mkdirSync(bad);
    writeFileSync(join(bad, 'cert9.db'), 'garbage');
    const { code, stderr } = await ca('trust', '--store', 'firefox');
    assert.equal(code, 1);
    assert.match(stderr, /Firefox \(.*firefox\/bad\) could not be/);
    assert.equal((await listed(good)).length, 2);
  });

  test('for root by sudo, it says whose browsers were not touched', async (t) => {
    const { ca } = await setup(t, { SUDO_USER: 'anna' });
    assert.match((await ca('trust', '--store', 'chromium')).stdout, /browser stores of anna were not touched/);
  });
});

describe('podserve ca trust and untrust for the system', () => {
  test('Debian: every program of the system trusts the roots, once, and no more after untrust', async (t) => {
    const made = await setup(t);
    const [root = '', second = ''] = nicknames(made.state);
    const firstRoot = join(made.directory, 'first.pem');
    writeFileSync(firstRoot, parseCertificates(readFileSync(join(made.state, 'certificates', 'ca.pem'), 'utf8'))[0]?.toString() ?? '');
    const script = [
      `verify() { openssl verify ${firstRoot} >/dev/null 2>&1 && echo verified || echo unknown; }`,
      'verify; ca trust; verify; ca trust; ca show; ca untrust; verify; ca untrust; ls /usr/local/share/ca-certificates',
    ].join('\n');
    const { code, stdout, stderr } = await inOwnSystem(made, script);
    assert.equal(code, 0, stderr);
    const label = 'system store (/usr/local/share/ca-certificates)';
    const expected = [
      'unknown',
      `${label}: ${root} is trusted now`,
      `${label}: ${second} is trusted now`,
      'podserve ca untrust takes it back.',
      'verified',
      `${label}: ${root} was trusted already`,
      `${label}: ${second} was trusted already`,
      ...stdout.split('\n').filter((line) => /^ {2}|^PodServe local CA|^file:/.test(line)),
      `${label}: ${root} is removed`,
      `${label}: ${second} is removed`,
      'unknown',
      `${label}: ${root} was not there`,
      `${label}: ${second} was not there`,
      '',
    ];
    assert.deepEqual(stdout.split('\n'), expected);
    assert.equal(stdout.match(/trusted by {2}system store/g)?.length, 2);
    assert.ok(!readdirSync(join(made.directory, 'certs')).some((file) => file.startsWith('podserve')), 'no dead link is left');
  });

  test('an installation that was cut off half-way is completed', async (t) => {
    const made = await setup(t);
    const script = ['ca trust >/dev/null', 'sed -i /CERT/d /etc/ssl/certs/ca-certificates.crt', 'ca trust'].join('\n');
    const { code, stdout, stderr } = await inOwnSystem(made, script);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.match(/is trusted now/g)?.length, 2);
  });

  test('an ordinary user is told to use sudo, and the browsers are served', async (t) => {
    const { directory, state, home } = await setup(t);
    chmodSync(directory, 0o755);
    await must('chown', ['-R', 'nobody', home]);
    const asNobody = ['--reuid=nobody', '--regid=nogroup', '--clear-groups', PODSERVE, 'ca', 'trust', '--state', state];
    const { code, stdout, stderr } = await run('setpriv', asNobody, { env: { HOME: home, NODE_COMPILE_CACHE: '' } });
    assert.equal(code, 1, stdout);
    assert.match(
      stderr,
      /system store \(.*\) could not be changed: only root may change it; run the same command with sudo and --store system/,
    );
    assert.equal(stdout.match(/Chromium .* is trusted now/g)?.length, 2);
    assert.ok(existsSync(join(home, '.pki', 'nssdb', 'cert9.db')));
  });

  test('the layout of Fedora and RHEL: files where update-ca-trust looks, and it is called', async (t) => {
    const directory = scratchDirectory(t);
    const { state } = await setup(t);
    const [anchors, bundle, bin] = [join(directory, 'anchors'), join(directory, 'bundle.pem'), join(directory, 'bin')];
    mkdirSync(bin);
    writeFileSync(join(bin, 'update-ca-trust'), `#!/bin/sh\n[ "$1" = extract ] && cat ${anchors}/*.pem > ${bundle} 2>/dev/null; exit 0\n`, {
      mode: 0o755,
    });
    const store = systemStore({ ...RED_HAT, anchors, bundle }, `${bin}:${process.env['PATH']}`);
    const [certificate] = parseCertificates(readFileSync(join(state, 'certificates', 'ca.pem'), 'utf8'));
    assert.ok(certificate instanceof X509Certificate);
    const anchor = { nickname: 'PodServe local CA 1', fingerprint: 'ab'.repeat(32), pem: `${certificate.toString().trim()}\n` };
    assert.deepEqual(await trustIn(store, [anchor]), [{ root: anchor.nickname, changed: true }]);
    assert.deepEqual(readdirSync(anchors), ['podserve-local-ca-abababababababab.pem']);
    assert.deepEqual(await trustIn(store, [anchor]), [{ root: anchor.nickname, changed: false }]);
    assert.deepEqual(await untrustIn(store, [anchor]), [{ root: anchor.nickname, changed: true }]);
    assert.deepEqual(readdirSync(anchors), []);
  });
});

describe('podserve ca show and export', () => {
  test('show says what each root is, may sign, and where it is trusted', async (t) => {
    const { state, ca } = await setup(t);
    await ca('trust', '--store', 'chromium');
    const { code, stdout } = await ca('show', '--store', 'chromium');
    assert.equal(code, 0);
    const [first = '', second = ''] = nicknames(state);
    assert.ok(stdout.startsWith(`${first}\n`));
    assert.ok(stdout.includes(`\n${second}\n`));
    assert.match(stdout, /role {8}signs\n/);
    assert.match(stdout, /role {8}announced: signs from \d{4}-\d\d-\d\d/);
    assert.match(stdout, /may sign {4}localhost, lab\.example\.org, bücher\.example, new\.example, and names below them/);
    assert.match(stdout, /10\.0\.0\.0\/8, .*fc00::\/7, fe80::\/10, 203\.0\.113\.7\n/);
    assert.match(stdout, /trusted by {2}Chromium \(.*\/\.pki\/nssdb\)\n/);
    assert.ok(stdout.endsWith(`file: ${join(state, 'certificates', 'ca.pem')}\n`));
  });

  test('show --json gives the same to programs', async (t) => {
    const { state, ca } = await setup(t);
    const { stdout } = await ca('show', '--json', '--store', 'chromium');
    const report = JSON.parse(stdout) as {
      file: string;
      roots: { role: string; fingerprint: string; permittedNames: string[]; trust: { trusted: boolean }[] }[];
    };
    const certificates = parseCertificates(readFileSync(report.file, 'utf8'));
    assert.equal(report.file, join(state, 'certificates', 'ca.pem'));
    assert.deepEqual(
      report.roots.map(({ fingerprint }) => fingerprint),
      certificates.map(({ fingerprint256 }) => fingerprint256),
    );
    assert.deepEqual(
      report.roots.map(({ role }) => role),
      ['signs', 'announced'],
    );
    assert.deepEqual(report.roots[1]?.permittedNames, ['localhost', 'lab.example.org', 'bücher.example', 'new.example']);
    assert.deepEqual(
      report.roots.map(({ trust }) => trust[0]?.trusted),
      [false, false],
    );
  });

  test('who may not look into the authority still sees the roots', async (t) => {
    const { directory, state, home } = await setup(t);
    chmodSync(directory, 0o755);
    const asNobody = ['--reuid=nobody', '--regid=nogroup', '--clear-groups', PODSERVE, 'ca', 'show', '--state', state];
    const { code, stdout, stderr } = await run('setpriv', asNobody, { env: { HOME: home, NODE_COMPILE_CACHE: '' } });
    assert.equal(code, 0, stderr);
    assert.equal(stdout.match(/role {8}unknown/g)?.length, 2);
  });

  test('export prints exactly ca.pem, or writes it', async (t) => {
    const { directory, state, ca } = await setup(t);
    const pem = readFileSync(join(state, 'certificates', 'ca.pem'), 'utf8');
    assert.equal((await ca('export')).stdout, pem);
    const out = join(directory, 'root.pem');
    assert.equal((await ca('export', '--out', out)).code, 0);
    const nowhere = await ca('export', '--out', '/nonexistent/root.pem');
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.stderr, /^podserve: the roots could not be written: \/nonexistent\/root\.pem: .*; give a file .*\n$/);
    assert.equal(readFileSync(out, 'utf8'), pem);
  });

  test('before ca.pem is published the authority itself is asked', async (t) => {
    const { state, ca } = await setup(t);
    const pem = readFileSync(join(state, 'certificates', 'ca.pem'), 'utf8');
    rmSync(join(state, 'certificates'), { recursive: true });
    assert.equal((await ca('export')).stdout, pem);
    assert.match((await ca('show', '--store', 'firefox')).stdout, /not published yet: .*ca\.pem\n$/);
  });

  test('without a CA each of them says so in one line and exits 1', async (t) => {
    const state = join(scratchDirectory(t), 'data');
    for (const verb of ['show', 'export', 'trust', 'untrust']) {
      const { code, stdout, stderr } = await podserve(['ca', verb, '--state', state]);
      assert.equal(code, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /^podserve: there is no built-in CA here yet: .*ca\.pem; podserve certificates --mode init makes it[^\n]*\n$/);
    }
    assert.ok(!existsSync(state));
  });

  test('a garbled ca.pem is named with what to do', async (t) => {
    const { state, ca } = await setup(t);
    writeFileSync(join(state, 'certificates', 'ca.pem'), '-----BEGIN CERTIFICATE-----\nMII');
    const { code, stderr } = await ca('trust', '--store', 'firefox');
    assert.equal(code, 1);
    assert.match(stderr, /certificates\/ca\.pem.*renew writes the file anew/);
  });

  test('wrong words are wrong usage', async (t) => {
    const { ca } = await setup(t);
    for (const args of [['blub'], [], ['show', 'more'], ['trust', '--store', 'keychain']])
      assert.equal((await ca(...args)).code, 2, args.join(' '));
  });
});
