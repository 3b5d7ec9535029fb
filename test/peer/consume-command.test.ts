import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { fingerprint } from '../support/apache.ts';
import { podserve, run } from '../support/command.ts';
import { consumeStack, nginx, servingNginx } from '../support/consume.ts';

const isServed = ({ ready }: { ready: boolean }): boolean => ready;

test('the copies are for their owner and the given group; others read certificates alone', async (t) => {
  const root = process.geteuid?.() === 0;
  const gid = root ? 60_800 : (process.getegid?.() ?? 0);
  const { stack, daemon } = await servingNginx(t, ['--group', String(gid)]);
  stack.start({ onChange: daemon.reload, more: ['--group', String(gid)] });
  await stack.until(isServed);
  for (let count = 0; count < 3; count += 1) {
    const bundle = await stack.publish();
    await stack.until(({ ready, certificates }) => ready && certificates[0]?.served?.leafSha256 === fingerprint(bundle));
  }
  const modes = ['cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem', 'combined.pem'].map((file) => {
    const stat = statSync(join(stack.copy, file));
    return `${file} ${(stat.mode & 0o777).toString(8)} ${stat.gid === gid}`;
  });
  assert.deepEqual(
    modes.slice(0, 3).map((mode) => mode.split(' ')[1]),
    ['644', '644', '644'],
  );
  assert.deepEqual(modes.slice(3), ['privkey.pem 640 true', 'combined.pem 640 true']);
  if (!root) return;
  const reads = async (group: number, file: string): Promise<number | null> =>
    (
      await run('setpriv', [
        '--reuid',
        '65534',
        '--regid',
        String(group),
        '--clear-groups',
        'cmp',
        '--silent',
        join(stack.copy, file),
        join(stack.copy, file),
      ])
    ).code;
  for (const file of ['privkey.pem', 'combined.pem']) {
    assert.equal(await reads(gid, file), 0, `the group cannot read ${file}`);
    assert.notEqual(await reads(65_534, file), 0, `everybody can read ${file}`);
  }
  assert.equal(await reads(65_534, 'fullchain.pem'), 0);
});

test('commands are told name, generation and copy, and no secret of ours and no trust store', async (t) => {
  const { stack, daemon } = await servingNginx(t);
  const dump = join(stack.directory, 'environment');
  const env = { SSL_CERT_FILE: '/nowhere.pem', SSL_KEY_FILE: '/nowhere.key', ADMIN_PASSWORD: 'hush', HARMLESS: 'yes' };
  const consume = stack.start({ onChange: `env > ${dump}; ${daemon.reload}` }, { env });
  await stack.until(isServed);
  const bundle = await stack.publish();
  await stack.until(({ certificates }) => certificates[0]?.served?.leafSha256 === fingerprint(bundle));
  const lines = readFileSync(dump, 'utf8').split('\n');
  for (const line of ['PODSERVE_NAME=default', 'PODSERVE_GENERATION=2', `PODSERVE_DIR=${stack.copy}`, 'HARMLESS=yes']) {
    assert.ok(lines.includes(line), line);
  }
  assert.deepEqual(
    lines.filter((line) => /^SSL_|PASSWORD/.test(line)),
    [],
  );
  assert.doesNotMatch(consume.output(), /PRIVATE KEY|hush/);
});

test('the directory of one certificate alone is consumed as well, mounted before or after the start', async (t) => {
  const stack = await consumeStack(t);
  const daemon = nginx(t, stack);
  const own = join(stack.root, 'default');
  const more = ['--dir', own];
  const consume = stack.start({ onChange: stack.noting(daemon.reload), more });
  await stack.until(({ certificates }) => certificates[0]?.state === 'missing');
  await stack.publish();
  await stack.until(({ certificates }) => certificates[0]?.state === 'pending');
  await daemon.start();
  await stack.until(isServed);
  const next = await stack.publish();
  const { certificates } = await stack.until(({ certificates: all }) => all[0]?.served?.leafSha256 === fingerprint(next));
  assert.ok((certificates[0]?.servedAfterMs ?? Infinity) < 1500, `noticed by the poll alone: ${certificates[0]?.servedAfterMs} ms`);
  consume.child.kill('SIGTERM');
  await consume.done;
});

test('a copy that somebody damages is made again', async (t) => {
  const { stack, daemon, first } = await servingNginx(t);
  const consume = stack.start({ onChange: daemon.reload, check: daemon.check });
  await stack.until(isServed);
  consume.child.kill('SIGKILL');
  await consume.done;
  writeFileSync(join(stack.copy, '..data/privkey.pem'), 'garbage');
  rmSync(join(stack.copy, 'fullchain.pem'));
  stack.start({ onChange: daemon.reload, check: daemon.check });
  await stack.until(isServed);
  assert.equal(readFileSync(join(stack.copy, 'privkey.pem'), 'utf8'), first.privateKeyPem);
  assert.equal(readFileSync(join(stack.copy, 'fullchain.pem'), 'utf8'), first.leafPem + first.chainPem);
});

test('two of them never keep one copy, and a file of somebody else is never overwritten', async (t) => {
  const { stack, daemon } = await servingNginx(t);
  stack.start({ onChange: daemon.reload });
  await stack.until(isServed);
  const second = await stack.once({ onChange: daemon.reload });
  assert.equal(second.code, 1);
  assert.match(
    second.stderr,
    /^podserve: another podserve consume keeps this copy: .*copy: held by podserve consume on host .*--copy-to DIR\n$/,
  );
  const elsewhere = join(stack.directory, 'www');
  writeFileSync(join(elsewhere, 'privkey.pem'), 'mine');
  const { code, stderr } = await stack.once({ onChange: 'true', more: ['--copy-to', elsewhere] });
  assert.equal(code, 1);
  assert.match(stderr, /there is a file already where the copy belongs: .*privkey\.pem/);
  assert.equal(readFileSync(join(elsewhere, 'privkey.pem'), 'utf8'), 'mine');
});

test('wrong usage is one line and exit code 2, and touches nothing', async (t) => {
  const stack = await consumeStack(t);
  const wrong: [string[], RegExp][] = [
    [['--probe', 'https://localhost'], /--on-change/],
    [['--on-change', 'true'], /--probe/],
    [['--on-change', 'true', '--probe', 'ftp://localhost'], /cannot be probed/],
    [['--on-change', 'true', '--probe', 'https://localhost', '--name', '../x'], /--name/],
    [['--on-change', 'true', '--probe', 'https://localhost', '--group', 'no-such-group'], /--group.*no such group/],
    [['--on-change', 'true', '--probe', 'https://localhost', '--timeout', 'soon'], /--timeout/],
    [['--on-change', 'true', '--probe', 'https://localhost', '--status', 'x:y:z'], /--status/],
    [['--on-change', 'true', '--probe', 'https://localhost', '--servername', 'a b'], /a b/],
    [
      ['--on-change', 'true', '--probe', 'https://localhost', '--dir', stack.root, '--copy-to', join(stack.root, 'x')],
      /outside the publication/,
    ],
  ];
  for (const [args, pattern] of wrong) {
    const { code, stderr, stdout } = await podserve([
      'consume',
      '--copy-to',
      stack.copy,
      ...args,
      '--state',
      join(stack.directory, 'state'),
    ]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, pattern);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.equal(stdout, '');
  }
  assert.ok(!existsSync(stack.root) && !existsSync(stack.copy) && !existsSync(join(stack.directory, 'state')));
});
