import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { lockPublication } from '../../../src/publication/lock.ts';
import { start } from '../../support/command.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const PUBLISHER = { host: 'alpha', container: 'podserve-certificates', command: 'certificates --mode cron', version: '0' };

/** Another process that locks, says so, and stays. */
const HOLD = `
const { lockPublication } = await import(process.argv[1]);
await lockPublication(process.argv[2], { publisher: ${JSON.stringify(PUBLISHER)}, waitMs: 60_000 });
console.log('locked');
setInterval(() => undefined, 1000);
`;
const LOCK_MODULE = new URL('../../../src/publication/lock.ts', import.meta.url).href;

const quick = { publisher: { host: 'beta', command: 'test', version: '0' }, waitMs: 0 };

function hold(t: Parameters<typeof start>[0], root: string): ReturnType<typeof start> {
  return start(t, process.execPath, ['--input-type=module', '-e', HOLD, LOCK_MODULE, root]);
}

describe('one writer at a time', () => {
  test('in one process', async (t) => {
    const root = scratchDirectory(t);
    {
      await using first = await lockPublication(root, quick);
      assert.equal(first.root, root);
      await assert.rejects(lockPublication(root, quick), { code: 'PUBLICATION_LOCKED' });
    }
    await using second = await lockPublication(root, quick);
    assert.ok(second);
  });

  test('between processes, and the one who waits too long is told who holds it', async (t) => {
    const root = join(scratchDirectory(t), 'made', 'on', 'the', 'way');
    const other = hold(t, root);
    await other.says(/locked/);
    await assert.rejects(lockPublication(root, { ...quick, waitMs: 200 }), {
      code: 'PUBLICATION_LOCKED',
      where: root,
      why: new RegExp(
        `held by podserve certificates --mode cron on host alpha, container podserve-certificates, process ${other.child.pid}, since 20`,
      ),
      remedy: /the lock ends with its process/,
    });
  });

  test('also while this process has failed to get it, and tried again', async (t) => {
    const root = scratchDirectory(t);
    await using held = await lockPublication(root, quick);
    for (let again = 0; again < 5; again += 1) await assert.rejects(lockPublication(root, quick), { code: 'PUBLICATION_LOCKED' });
    const other = hold(t, root);
    await pause(1000);
    assert.equal(other.output(), '', 'another process got a lock that is held here');
    await held[Symbol.asyncDispose]();
    await other.says(/locked/);
  });

  test('and the kernel frees it when the holder is killed', async (t) => {
    const root = scratchDirectory(t);
    const other = hold(t, root);
    await other.says(/locked/);
    const waiting = lockPublication(root, { ...quick, waitMs: 10_000 });
    other.child.kill('SIGKILL');
    await using lock = await waiting;
    assert.ok(lock);
    assert.match(readFileSync(join(root, '.lock.holder'), 'utf8'), /"host":"beta"/);
  });
});

test('who waits can be told to stop', async (t) => {
  const root = scratchDirectory(t);
  await using held = await lockPublication(root, quick);
  assert.ok(held);
  const stop = new AbortController();
  const waiting = lockPublication(root, { ...quick, waitMs: 60_000, signal: stop.signal });
  setTimeout(() => stop.abort(new Error('stopped')), 50);
  await assert.rejects(waiting, /stopped/);
});

test('the lock leaves nothing but an empty file that only its owner may open', async (t) => {
  const root = scratchDirectory(t);
  {
    await using lock = await lockPublication(root, quick);
    assert.ok(lock);
    assert.equal(statSync(join(root, '.lock.holder')).mode & 0o777, 0o600);
  }
  assert.deepEqual(readdirSync(root), ['.lock']);
  const { mode, size } = statSync(join(root, '.lock'));
  assert.deepEqual([mode & 0o777, size], [0o600, 0]);
});

test('a stale or garbled note of a holder misleads nobody', async (t) => {
  const root = scratchDirectory(t);
  writeFileSync(join(root, '.lock.holder'), '{"host":"gone"');
  {
    await using lock = await lockPublication(root, quick);
    assert.ok(lock);
    writeFileSync(join(root, '.lock.holder'), '{"host":"gone"');
    await assert.rejects(lockPublication(root, quick), { why: 'who holds it is not known' });
  }
  rmSync(join(root, '.lock.holder'), { force: true });
  mkdirSync(join(root, '.lock.holder'));
  await using lock = await lockPublication(root, quick);
  assert.ok(lock);
});

describe('what is no lock file is named and not touched', () => {
  const cases: [string, (file: string) => void, RegExp][] = [
    ['a link', (file) => symlinkSync('/etc/passwd', file), /link or directory where the lock file belongs/],
    ['a directory', (file) => mkdirSync(file), /link or directory/],
    ['a file with something in it', (file) => writeFileSync(file, 'hello '.repeat(500)), /something else was written into it/],
  ];
  for (const [title, make, why] of cases) {
    test(title, async (t) => {
      const root = scratchDirectory(t);
      make(join(root, '.lock'));
      await assert.rejects(lockPublication(root, quick), {
        code: 'PUBLICATION_UNWRITABLE',
        where: join(root, '.lock'),
        why,
        remedy: /remove/,
      });
    });
  }

  test('a publication that is a file', async (t) => {
    const root = join(scratchDirectory(t), 'certificates');
    writeFileSync(root, '');
    await assert.rejects(lockPublication(root, quick), { code: 'PUBLICATION_UNWRITABLE', where: root });
  });
});
