import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdtempSync,
  rmdirSync,
  chownSync,
  cpSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statfsSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { openLedger } from '../../src/ledger/open.ts';
import { readCurrent } from '../../src/publication/read.ts';
import { podserve, PODSERVE, run, start, type Finished } from '../support/command.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { treeOf } from '../support/tree.ts';

const NOBODY = 65_534;

interface Stack {
  readonly directory: string;
  readonly state: string;
  readonly publication: string;
  readonly current: string;
}

/** A state directory with one published certificate for `localhost`. */
async function stack(t: TestContext, directory = scratchDirectory(t)): Promise<Stack> {
  const state = join(directory, 'data');
  const result = await podserve(['certificates', '--mode', 'init', '--state', state], { cwd: directory });
  assert.equal(result.code, 0, result.stderr);
  const publication = join(state, 'certificates');
  return { directory, state, publication, current: join(publication, 'default/..data') };
}

function certificates({ directory, state }: Stack, ...args: string[]): Promise<Finished> {
  return podserve(['certificates', '--state', state, '--mode', ...args], { cwd: directory });
}

/** What every failure owes its reader: one line with the file, the cause and a remedy; no stack, no key. */
function assertClear(result: Finished, file: RegExp, cause: RegExp): void {
  const output = result.stdout + result.stderr;
  assert.match(output, file);
  assert.match(output, cause);
  assert.doesNotMatch(output, /\n\s+at |PRIVATE KEY/);
}

async function assertServed(served: Stack, generation: number): Promise<void> {
  assert.equal((await readCurrent(served.publication, 'default'))?.number, generation);
}

/** A small tmpfs that is gone when the test ends. */
function smallDisk(t: TestContext, size: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'podserve-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory]);
  t.after(() => {
    execFileSync('umount', ['-l', directory]);
    rmdirSync(directory);
  });
  return directory;
}

describe('what is published is damaged', () => {
  const damages: readonly [string, string, (current: string) => void][] = [
    ['garbage in cert.pem', 'cert.pem', (current) => writeFileSync(join(current, 'cert.pem'), 'garbage')],
    ['fullchain.pem cut in the middle', 'fullchain.pem', (current) => truncateSync(join(current, 'fullchain.pem'), 200)],
    ['an empty combined.pem', 'combined.pem', (current) => truncateSync(join(current, 'combined.pem'), 0)],
    ['no privkey.pem', 'privkey.pem', (current) => rmSync(join(current, 'privkey.pem'))],
    ['garbage in the manifest', 'manifest.json', (current) => writeFileSync(join(current, 'manifest.json'), '{"version":')],
    [
      'a directory where privkey.pem belongs',
      'privkey.pem',
      (current) => {
        rmSync(join(current, 'privkey.pem'));
        mkdirSync(join(current, 'privkey.pem'));
      },
    ],
    [
      'a link that leads to itself where cert.pem belongs',
      'cert.pem',
      (current) => {
        rmSync(join(current, 'cert.pem'));
        symlinkSync('cert.pem', join(current, 'cert.pem'));
      },
    ],
  ];
  for (const [what, file, damage] of damages) {
    test(`${what}: check names the file, renew replaces the generation and says why`, async (t) => {
      const served = await stack(t);
      damage(served.current);
      const check = await certificates(served, 'check');
      assert.equal(check.code, 1);
      assertClear(check, new RegExp(file.replace('.', '\\.')), /CORRUPT/);
      const renew = await podserve(['certificates', '--mode', 'init', '--state', served.state], { cwd: served.directory });
      assert.equal(renew.code, 0, renew.stderr);
      assert.match(renew.stdout, /generation 2/);
      await assertServed(served, 2);
      assert.equal((await certificates(served, 'check')).code, 0);
    });
  }

  test('the key of another certificate: found, named, replaced', async (t) => {
    const [served, other] = [await stack(t), await stack(t)];
    cpSync(join(other.current, 'privkey.pem'), join(served.current, 'privkey.pem'));
    const check = await certificates(served, 'check');
    assert.equal(check.code, 1);
    assertClear(check, /default/, /private key does not belong|privkey\.pem/);
    assert.equal((await certificates(served, 'init')).code, 0);
    await assertServed(served, 2);
  });

  test('a loop of links where ..data belongs: the next publication makes it anew', async (t) => {
    const served = await stack(t);
    rmSync(served.current);
    symlinkSync('..data', served.current);
    const check = await certificates(served, 'check');
    assert.equal(check.code, 1);
    assertClear(check, /\.\.data/, /CORRUPT|UNREADABLE/);
    const renew = await certificates(served, 'init');
    assert.equal(renew.code, 0, renew.stdout + renew.stderr);
    assert.match(readlinkSync(served.current), /^\.\.gen-/);
  });
});

test('a deleted ca.pem: check names it, renew writes it anew and issues nothing', async (t) => {
  const served = await stack(t);
  rmSync(join(served.publication, 'ca.pem'));
  const check = await certificates(served, 'check');
  assert.equal(check.code, 1);
  assertClear(check, /ca\.pem/, /missing/);
  assert.equal((await certificates(served, 'renew')).code, 0);
  assert.equal((await certificates(served, 'check')).code, 0);
  await assertServed(served, 1);
});

describe('the volume takes no change', () => {
  test('full: nothing is lost, the line names the cause and the remedy, and renewal succeeds once there is room', async (t) => {
    const served = await stack(t, smallDisk(t, '512k'));
    const filler = join(served.directory, 'filler');
    fill(filler);
    const renew = await certificates(served, 'renew', '--force');
    assert.equal(renew.code, 1);
    assertClear(renew, /certificates/, /no space left|ENOSPC|full/i);
    await assertServed(served, 1);
    assert.equal((await certificates(served, 'check')).code, 0);
    rmSync(filler);
    const again = await certificates(served, 'renew', '--force');
    assert.equal(again.code, 0, again.stdout + again.stderr);
    await assertServed(served, 2);
  });

  test('read-only: one line, what is published is served on', async (t) => {
    const directory = smallDisk(t, '2m');
    const served = await stack(t, directory);
    execFileSync('mount', ['-o', 'remount,ro', directory]);
    const renew = await certificates(served, 'renew', '--force');
    assert.equal(renew.code, 1);
    assertClear(renew, new RegExp(served.publication), /read-only/i);
    assert.equal((await certificates(served, 'check')).code, 0);
    await assertServed(served, 1);
  });

  test('no permission: a user who may not write is told where and what to do, and changes nothing', async (t) => {
    const served = await stack(t);
    chmodSync(served.directory, 0o755);
    const args = [
      '--reuid',
      String(NOBODY),
      '--clear-groups',
      PODSERVE,
      'certificates',
      '--state',
      served.state,
      '--mode',
      'renew',
      '--force',
    ];
    const renew = await run('setpriv', args, { cwd: '/', env: { NODE_COMPILE_CACHE: '' } });
    assert.equal(renew.code, 1);
    assertClear(renew, new RegExp(served.state), /permission/i);
    await assertServed(served, 1);
  });

  test('another owner: root publishes all the same, and the modes are right again', async (t) => {
    const served = await stack(t);
    for (const file of ['', 'certificates', 'certificates/default']) chownSync(join(served.state, file), NOBODY, NOBODY);
    chmodSync(join(served.publication, 'default'), 0o700);
    const renew = await certificates(served, 'renew', '--force');
    assert.equal(renew.code, 0, renew.stderr);
    await assertServed(served, 2);
    assert.equal(
      execFileSync('stat', ['-c', '%a', join(served.publication, 'default')])
        .toString()
        .trim(),
      '755',
    );
    assert.equal(
      execFileSync('stat', ['-L', '-c', '%a %g', join(served.current, 'privkey.pem')])
        .toString()
        .trim(),
      '640 60800',
    );
  });
});

describe('the configuration changes', () => {
  test('a name that is added is covered after the next pass, by a new root where the old one may not', async (t) => {
    const served = await stack(t);
    writeFileSync(
      join(served.directory, 'podserve.yaml'),
      'domain: localhost\ncertificates:\n  - name: default\n    names: [localhost, lab.example.org]\n',
    );
    const check = await certificates(served, 'check');
    assert.equal(check.code, 1);
    assertClear(check, /default/, /does not cover lab\.example\.org/);
    const renew = await certificates(served, 'renew');
    assert.equal(renew.code, 0, renew.stderr);
    assert.match(renew.stdout, /generation 2 .*lab\.example\.org/);
    assert.equal((await certificates(served, 'check')).code, 0);
    assert.equal(readFileSync(join(served.publication, 'ca.pem'), 'utf8').split('BEGIN CERTIFICATE').length - 1, 2);
  });

  for (const [length, name] of [
    [64, `${'a'.repeat(64)}.example.org`],
    [300, `${'abcdefghi.'.repeat(29)}example.org`],
  ] as const) {
    test(`a name with ${length === 64 ? 'a label of 64' : '301'} characters is refused in one line with exit code 2, and nothing changes`, async (t) => {
      const served = await stack(t);
      const link = readlinkSync(served.current);
      writeFileSync(join(served.directory, 'podserve.yaml'), `certificates:\n  - name: default\n    names: [localhost, ${name}]\n`);
      const renew = await certificates(served, 'renew');
      assert.equal(renew.code, 2);
      assert.match(renew.stderr, /podserve\.yaml:3/);
      assert.match(renew.stderr, /at most (63|253)/);
      assert.equal(readlinkSync(served.current), link);
    });
  }

  test('a name of 64 characters in two labels is certified', async (t) => {
    const directory = scratchDirectory(t);
    writeFileSync(join(directory, 'podserve.yaml'), `certificates:\n  - name: default\n    names: [${'a'.repeat(51)}.example.org.x]\n`);
    const result = await podserve(['certificates', '--mode', 'init'], { cwd: directory });
    assert.equal(result.code, 0, result.stderr);
  });
});

describe('two services on one volume', () => {
  test('do each other no harm: one certificate, issued once', async (t) => {
    const directory = scratchDirectory(t);
    const state = join(directory, 'data');
    const inits = await Promise.all(
      Array.from({ length: 4 }, () => podserve(['certificates', '--mode', 'init', '--state', state], { cwd: directory })),
    );
    assert.deepEqual(
      inits.map(({ code }) => code),
      [0, 0, 0, 0],
      inits.map(({ stderr }) => stderr).join(),
    );
    assert.equal(inits.filter(({ stdout }) => /issued/.test(stdout)).length, 1);
    assert.equal((await readCurrent(join(state, 'certificates'), 'default'))?.number, 1);
  });

  test('a writer that holds the lock is named to the one who waits', async (t) => {
    const served = await stack(t);
    const hold = `import { lockPublication } from '${new URL('../../src/publication/lock.ts', import.meta.url).href}';
      await lockPublication(${JSON.stringify(served.publication)}, { publisher: { host: 'h', command: 'somebody', version: '0' }, waitMs: 0 });
      console.log('held'); setInterval(() => {}, 1000);`;
    const holder = start(t, process.execPath, ['--input-type=module', '-e', hold]);
    await holder.says(/held/);
    const renew = await certificates(served, 'renew', '--force');
    assert.equal(renew.code, 1);
    assertClear(renew, new RegExp(served.publication), /somebody/);
    holder.child.kill('SIGKILL');
    await holder.done;
    assert.equal((await certificates(served, 'renew', '--force')).code, 0);
  });
});

test('a restart within the lifetime issues nothing', async (t) => {
  const served = await stack(t);
  for (const mode of ['init', 'renew', 'init', 'renew']) assert.equal((await certificates(served, mode)).code, 0);
  await assertServed(served, 1);
});

test('renew --dry-run prints each certificate with its decision, reason and time, and changes nothing', async (t) => {
  const served = await stack(t);
  writeFileSync(
    join(served.directory, 'podserve.yaml'),
    'certificates:\n  - name: default\n    names: [localhost]\n  - name: second\n    names: [two.example.org]\n',
  );
  const dry = await certificates(served, 'renew', '--dry-run');
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(dry.stdout, /^default: kept until \d{4}-\d\d-\d\d \d\d:\d\d UTC: not-due: renewal is planned/m);
  assert.match(dry.stdout, /^second: would issue from local-ca now: missing/m);
  assert.equal(await readCurrent(served.publication, 'second'), undefined);
});

test('renew --dry-run in an empty directory, and beside a ledger in use or at rest, leaves no trace', async (t) => {
  const cwd = scratchDirectory(t);
  const first = await podserve(['certificates', '--mode', 'renew', '--dry-run'], { cwd });
  assert.match(first.stdout, /^default: would issue/m);
  assert.deepEqual(readdirSync(cwd), []);
  const served = await stack(t);
  const before = treeOf(served.directory);
  const dry = await certificates(served, 'renew', '--dry-run');
  assert.match(dry.stdout, /^default: kept/m);
  assert.deepEqual(treeOf(served.directory), before);
  using ledger = openLedger(join(served.directory, 'data/authority/ledger.sqlite'), Date.now()).ledger;
  ledger.keepValue('test', 'open');
  assert.match((await certificates(served, 'renew', '--dry-run')).stdout, /^default: kept/m);
});

test('renew --dry-run prints every one of many certificates', async (t) => {
  const cwd = scratchDirectory(t);
  const lines = Array.from({ length: 120 }, (_, index) => `  - { name: c${index}, names: [localhost] }`);
  writeFileSync(join(cwd, 'podserve.yaml'), `certificates:\n${lines.join('\n')}\n`);
  const dry = await podserve(['certificates', '--mode', 'renew', '--dry-run'], { cwd });
  assert.equal(dry.stdout.match(/^c\d+: would issue/gm)?.length, lines.length);
});

test('wrong usage is one line and exit code 2', async (t) => {
  const cwd = scratchDirectory(t);
  for (const args of [
    [],
    ['--mode', 'nonsense'],
    ['--mode', 'init', '--force'],
    ['--mode', 'renew', '--name', 'nobody'],
    ['--mode', 'renew', '--nmae', 'x'],
    ['stray'],
  ]) {
    const result = await podserve(['certificates', ...args], { cwd });
    assert.equal(result.code, 2, args.join(' '));
    assert.equal(result.stderr.trim().split('\n').length, 1, result.stderr);
    assert.equal(result.stdout, '');
  }
});

/** Writes until the disk takes no more. */
function fill(file: string): void {
  const { bsize } = statfsSync(join(file, '..'));
  writeFileSync(file, '');
  try {
    for (;;) writeFileSync(file, Buffer.alloc(bsize), { flag: 'a' });
  } catch {
    // Full, as wanted.
  }
}
