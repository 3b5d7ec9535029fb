import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { watchPublication } from '../../../src/publication/watch.ts';
import { run } from '../../support/command.ts';
import { switchByHand } from '../../support/hand-publication.ts';
import { publishOne } from '../../support/publishing.ts';
import { scratchDirectory } from '../../support/scratch.ts';

interface Heard {
  readonly changes: string[];
  readonly troubles: string[];
  /** Resolves at the next change of that name. */
  next(name: string): Promise<void>;
  stop(): void;
}

/** Polls so seldom that only events can be in time, unless told otherwise. */
function listen(t: TestContext, root: string, names: readonly string[] | 'all', pollMs = 600_000, files = false): Heard {
  const controller = new AbortController();
  t.after(() => controller.abort());
  const changes: string[] = [];
  const troubles: string[] = [];
  let waiting: { name: string; resolve: () => void }[] = [];
  watchPublication(root, {
    names,
    files,
    pollMs,
    signal: controller.signal,
    onChange(name) {
      changes.push(name);
      for (const one of waiting.filter((other) => other.name === name)) one.resolve();
      waiting = waiting.filter((other) => other.name !== name);
    },
    onTrouble: (line) => troubles.push(line),
  });
  return {
    changes,
    troubles,
    async next(name) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push({ name, resolve });
      const late = AbortSignal.timeout(5000);
      late.addEventListener('abort', () => resolve());
      const before = changes.length;
      await promise;
      assert.ok(changes.length > before, `no change of ${name} was heard; troubles: ${troubles.join('; ')}`);
    },
    stop: () => controller.abort(),
  };
}

describe('a watch tells', () => {
  test('of each new generation, by events alone, and not of what was there before', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    const heard = listen(t, root, ['default']);
    await pause(50);
    assert.deepEqual(heard.changes, []);
    for (let count = 0; count < 5; count += 1) {
      const news = heard.next('default');
      await publishOne(root);
      await news;
    }
    assert.deepEqual(heard.changes, Array(5).fill('default'));
  });

  test('of a switch that another program made', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    await publishOne(root);
    const heard = listen(t, root, ['default']);
    const news = heard.next('default');
    switchByHand(root, 'default', 1);
    await news;
  });

  test('of the first generation of a certificate whose directory is not there yet', async (t) => {
    const root = scratchDirectory(t);
    const heard = listen(t, root, ['later']);
    const news = heard.next('later');
    await publishOne(root, 'later');
    await news;
  });

  test('of certificates that nobody named, when all are asked for', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    const heard = listen(t, root, 'all');
    const news = heard.next('surprise');
    await publishOne(root, 'surprise');
    await news;
    assert.ok(!heard.changes.includes('default'));
  });

  test('of one among hundreds, without a watch for each', async (t) => {
    const root = scratchDirectory(t);
    for (let count = 0; count < 200; count += 1) mkdirSync(join(root, `name-${count}`));
    const heard = listen(t, root, 'all');
    for (const name of ['name-0', 'name-150', 'name-199']) {
      const news = heard.next(name);
      await publishOne(root, name);
      await news;
    }
  });

  test('of certificates that are not asked for nothing', async (t) => {
    const root = scratchDirectory(t);
    const heard = listen(t, root, ['mine'], 50);
    await publishOne(root, 'other');
    await pause(200);
    assert.deepEqual(heard.changes, []);
  });

  test('that a certificate is gone, and of the one that takes its place', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    const heard = listen(t, root, ['default'], 100);
    const gone = heard.next('default');
    rmSync(join(root, 'default'), { recursive: true });
    await gone;
    const back = heard.next('default');
    await publishOne(root);
    await back;
    const again = heard.next('default');
    await publishOne(root);
    await again;
  });

  test('of a publication that was deleted and made anew', async (t) => {
    const scratch = scratchDirectory(t);
    const root = join(scratch, 'certificates');
    await publishOne(root);
    const heard = listen(t, root, ['default'], 100);
    cpSync(root, join(scratch, 'copy'), { recursive: true, verbatimSymlinks: true });
    rmSync(root, { recursive: true });
    await pause(300);
    assert.equal(heard.troubles.length, 1);
    assert.match(heard.troubles[0] ?? '', /certificates cannot be watched \(ENOENT\); see that it is mounted/);
    const back = heard.next('default');
    renameSync(join(scratch, 'copy'), root);
    await back;
    const next = heard.next('default');
    await publishOne(root);
    await next;
  });

  test('of files that are damaged, deleted or closed without a switch, but only who asks for it', async (t) => {
    const root = scratchDirectory(t);
    await publishOne(root);
    const heard = listen(t, root, 'all', 50, true);
    const other = listen(t, root, 'all', 50);
    const current = join(root, 'default', '..data');
    const damages = [
      () => writeFileSync(join(current, 'fullchain.pem'), ''),
      () => chmodSync(join(current, 'privkey.pem'), 0o000),
      () => rmSync(join(current, 'combined.pem')),
      () => rmSync(join(root, 'default', 'cert.pem')),
    ];
    for (const damage of damages) {
      const news = heard.next('default');
      damage();
      await news;
      const before = heard.changes.length;
      await pause(200);
      assert.equal(heard.changes.length, before);
    }
    assert.deepEqual(other.changes, []);
    const fresh = heard.next('default');
    await publishOne(root);
    await fresh;
    const damaged = heard.next('default');
    rmSync(join(current, 'privkey.pem'));
    await damaged;
  });

  test('of changes by its poll where there is no event', async (t) => {
    const root = scratchDirectory(t);
    // A certificate beyond those that have a watch of their own, switched without a word to the publication.
    for (let count = 0; count < 40; count += 1) mkdirSync(join(root, `name-${String(count).padStart(2, '0')}`));
    await publishOne(root, 'name-39');
    await publishOne(root, 'name-39');
    const heard = listen(t, root, 'all', 100);
    const news = heard.next('name-39');
    switchByHand(root, 'name-39', 1);
    await news;
  });
});

test('after its end a watch tells nothing and keeps no process alive', async (t) => {
  const root = scratchDirectory(t);
  await publishOne(root);
  const heard = listen(t, root, 'all', 20);
  heard.stop();
  await publishOne(root);
  await pause(100);
  assert.deepEqual([heard.changes, heard.troubles], [[], []]);
  const script = `
    const { watchPublication } = await import(process.argv[1]);
    const stop = new AbortController();
    watchPublication(process.argv[2], { names: 'all', pollMs: 1000, signal: stop.signal, onChange() {}, onTrouble() {} });
    setTimeout(() => stop.abort(), 100);`;
  const module = new URL('../../../src/publication/watch.ts', import.meta.url).href;
  const { code } = await run('timeout', ['10', process.execPath, '--input-type=module', '-e', script, module, root]);
  assert.equal(code, 0);
});

test('a trouble is told once, and again only when it is another', async (t) => {
  const root = scratchDirectory(t);
  await publishOne(root);
  const heard = listen(t, root, ['default'], 30);
  rmSync(join(root, 'default', '..data'));
  mkdirSync(join(root, 'default', '..data'));
  await pause(300);
  assert.equal(heard.troubles.length, 1);
  assert.match(heard.troubles[0] ?? '', /default\/\.\.data cannot be read \(EINVAL\)/);
  rmSync(root, { recursive: true });
  await pause(300);
  assert.equal(heard.troubles.length, 2);
});
