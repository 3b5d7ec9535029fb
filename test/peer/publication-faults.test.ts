import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { combinedPem } from '../../src/certificate/bundle.ts';
import { MINUTE } from '../../src/platform/clock.ts';
import { PodserveError, describeError } from '../../src/platform/errors.ts';
import { publish, restoreGeneration } from '../../src/publication/publish.ts';
import { keptGenerations, readCurrent } from '../../src/publication/read.ts';
import { publishRoots } from '../../src/publication/roots.ts';
import { watchPublication } from '../../src/publication/watch.ts';
import { makeBundle } from '../support/bundles.ts';
import { lockNow, publishOne, requestFor } from '../support/publishing.ts';
import { asUser, readOnlyMount, smallDisk, whileMounted } from '../support/mounts.ts';
import { scratchDirectory } from '../support/scratch.ts';

const NOBODY = 65534;
const KEY_GROUP = 60800;

async function failureOf(work: Promise<unknown>): Promise<PodserveError> {
  const error = await work.then(
    () => assert.fail('it worked'),
    (caught: unknown) => caught,
  );
  assert.ok(error instanceof PodserveError, String(error));
  return error;
}

/** What a daemon that reads plain names would serve. */
function served(root: string): string {
  return readFileSync(join(root, 'combined.pem'), 'utf8');
}

describe('a full disk', () => {
  test('leaves what is served, and the message names file, cause and remedy', async (t) => {
    const root = smallDisk(t, '128k');
    const bundle = await makeBundle();
    await publishOne(root, 'default', { bundle });
    fill(root);
    const error = await failureOf(publishOne(root));
    assert.equal(error.code, 'PUBLICATION_UNWRITABLE');
    const line = describeError(error);
    assert.ok(line.includes(join(root, 'default')), line);
    assert.match(line, /disk is full \(ENOSPC\).*free some space there.*what was published before stays/);
    assert.equal(served(root), combinedPem(bundle));
    assert.equal((await readCurrent(root, 'default'))?.bundle.leafPem, bundle.leafPem);
    rmSync(join(root, 'ballast'));
    assert.equal((await publishOne(root)).manifest.generation, 2);
    assert.deepEqual(
      readdirSync(join(root, 'default')).filter((entry) => entry.includes('.tmp-')),
      [],
    );
  });

  test('is met at every size without anything half done', async (t) => {
    const root = smallDisk(t, '256k');
    await publishOne(root);
    let failed = 0;
    for (let spare = 0; spare <= 48 && failed < 100; spare += 4) {
      fill(root, spare * 1024);
      const before = served(root);
      const number = (await readCurrent(root, 'default'))?.number;
      const result = await publishOne(root).catch((error: unknown) => error);
      rmSync(join(root, 'ballast'), { force: true });
      const current = await readCurrent(root, 'default');
      if (result instanceof Error) {
        assert.match(describeError(result), /ENOSPC/);
        assert.deepEqual([served(root), current?.number], [before, number]);
        failed += 1;
      }
    }
    assert.ok(failed > 1, 'the disk was never full: this test tests nothing');
  });

  test('makes room from generations of slow readers, but keeps the newest three and goes on', async (t) => {
    const root = smallDisk(t, '512k');
    for (let count = 0; count < 8; count += 1) await publishOne(root);
    assert.equal((await keptGenerations(root, 'default')).length, 8);
    fill(root);
    const { manifest } = await publishOne(root);
    assert.equal(manifest.generation, 9);
    assert.deepEqual(await keptGenerations(root, 'default'), [9, 8, 7, 6]);
  });

  test('does not stop a return to a kept generation for want of a few bytes', async (t) => {
    const root = smallDisk(t, '256k');
    for (let count = 0; count < 3; count += 1) await publishOne(root);
    fill(root);
    await using lock = await lockNow(root);
    const result = await restoreGeneration(lock, 'default', 2, Date.now()).catch((error: unknown) => describeError(error));
    if (typeof result === 'string') assert.match(result, /ENOSPC/);
    assert.equal((await readCurrent(root, 'default'))?.number, typeof result === 'string' ? 3 : 2);
  });

  test('does not stop the lock, whose file is empty', async (t) => {
    const root = smallDisk(t, '64k');
    {
      await using lock = await lockNow(root);
      assert.ok(lock);
    }
    fill(root);
    await using lock = await lockNow(root);
    assert.ok(lock);
    const error = await failureOf(publishRoots(root, 'root\n'.repeat(1000)));
    assert.match(describeError(error), /ca\.pem.*ENOSPC/);
  });
});

describe('a read-only file system', () => {
  test('is named as what hinders, also where whole directories are missing on it', async (t) => {
    const mounted = readOnlyMount(t, scratchDirectory(t));
    for (const root of ['certificates', 'state/data/certificates']) {
      const error = await failureOf(lockNow(join(mounted, root)));
      assert.equal(error.code, 'PUBLICATION_UNWRITABLE');
      assert.match(describeError(error), /cannot be locked: [^:]+: the file system is read-only \(EROFS\); mount it writable/);
    }
  });

  test('is named, and what is published is read all the same', async (t) => {
    const root = join(scratchDirectory(t), 'certificates');
    const bundle = await makeBundle();
    await publishOne(root, 'default', { bundle });
    const mounted = readOnlyMount(t, root);
    const unlockable = await failureOf(lockNow(mounted));
    assert.equal(unlockable.code, 'PUBLICATION_UNWRITABLE');
    assert.match(describeError(unlockable), /cannot be locked: .*\.lock: the file system is read-only \(EROFS\); mount it writable/);
    {
      await using lock = await lockNow(root);
      const error = await failureOf(publish({ ...lock, root: mounted }, requestFor('default', await makeBundle())));
      assert.match(describeError(error), /default could not be published: .*the file system is read-only \(EROFS\); mount it writable/);
      const roots = await failureOf(publishRoots(mounted, 'root\n'));
      assert.match(describeError(roots), /ca\.pem.*EROFS/);
    }
    assert.equal((await readCurrent(mounted, 'default'))?.bundle.leafPem, bundle.leafPem);
    assert.equal((await publishOne(root)).manifest.generation, 2);
  });

  test('is how consumers get it: they read, and hear of a publication within moments', async (t) => {
    const root = join(scratchDirectory(t), 'certificates');
    await publishOne(root);
    const mounted = readOnlyMount(t, root);
    const controller = new AbortController();
    t.after(() => controller.abort());
    const { promise, resolve } = Promise.withResolvers<string>();
    watchPublication(mounted, {
      names: ['default'],
      pollMs: 600_000,
      signal: controller.signal,
      onChange: resolve,
      onTrouble: assert.fail,
    });
    await publishOne(root);
    assert.equal(await Promise.race([promise, pause(1000, 'nothing was heard')]), 'default');
    assert.equal((await readCurrent(mounted, 'default'))?.number, 2);
    await failureOf(publishOne(mounted));
  });

  test('that was deleted under its mount is said to be so', async (t) => {
    const scratch = scratchDirectory(t);
    const root = join(scratch, 'certificates');
    await publishOne(root);
    const mounted = readOnlyMount(t, root);
    const troubles = watched(t, mounted);
    rmSync(root, { recursive: true });
    await pause(300);
    assert.match(troubles[0] ?? '', /was deleted while it was mounted; make this container again/);
    assert.equal(troubles.length, 1);
  });
});

describe('another owner', () => {
  test('without the right to the group, keys stay with the owner, and one line says who cannot read them', async (t) => {
    const root = join(scratchDirectory(t), 'certificates');
    mkdirSync(root);
    chownSync(root, NOBODY, NOBODY);
    openPath(root);
    const { warnings } = await asUser(NOBODY, () => publishOne(root, 'default', { keyGid: KEY_GROUP }));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /group 60800.*readable by user 65534 alone.*CERT_KEY_GID/);
    for (const file of ['privkey.pem', 'combined.pem']) assert.equal(statSync(join(root, file)).mode & 0o777, 0o600);
    const { warnings: asRoot } = await publishOne(root, 'default', { keyGid: KEY_GROUP });
    assert.deepEqual(asRoot, []);
    const { mode, gid } = statSync(join(root, 'privkey.pem'));
    assert.deepEqual([mode & 0o777, gid], [0o640, KEY_GROUP]);
  });

  test('of the publication: nothing is changed, and the message says whose it is', async (t) => {
    const root = join(scratchDirectory(t), 'certificates');
    openPath(root);
    const bundle = await makeBundle();
    await publishOne(root, 'default', { bundle });
    const lock = await failureOf(asUser(NOBODY, () => lockNow(root)));
    assert.equal(lock.code, 'PUBLICATION_UNWRITABLE');
    assert.match(describeError(lock), /\.lock: user 65534 cannot open it; run it as the owner of it/);
    await using held = await lockNow(root);
    const error = await failureOf(asUser(NOBODY, () => publish(held, requestFor('default', bundle))));
    assert.match(describeError(error), /default: user 65534 may not \(EACCES\); it belongs to user 0, group 0, mode 0755|EACCES/);
    assert.equal(served(root), combinedPem(bundle));
  });

  test('who may not read the key is told so, with its owner and mode', async (t) => {
    const root = join(scratchDirectory(t), 'certificates');
    openPath(root);
    await publishOne(root, 'default', { keyGid: KEY_GROUP });
    const error = await failureOf(asUser(NOBODY, () => readCurrent(root, 'default')));
    assert.equal(error.code, 'PUBLICATION_UNREADABLE');
    assert.match(
      describeError(error),
      /\.\.gen-000001\/privkey\.pem: user 65534 may not \(EACCES\); it belongs to user 0, group 60800, mode 0640; .*CERT_KEY_GID/,
    );
  });

  test('a directory that may not be entered is trouble for a watch, and named', async (t) => {
    const root = join(scratchDirectory(t), 'certificates');
    openPath(root);
    await publishOne(root);
    chmodSync(join(root, 'default'), 0o700);
    const error = await failureOf(asUser(NOBODY, () => readCurrent(root, 'default')));
    assert.match(describeError(error), /default.*EACCES/);
    await asUser(NOBODY, async () => {
      const troubles = watched(t, root);
      await pause(300);
      assert.match(troubles[0] ?? '', /EACCES/);
      assert.equal(troubles.length, 1);
    });
  });
});

test('a plain name that is a mount of its own stops no publication and is reported', async (t) => {
  const root = join(scratchDirectory(t), 'certificates');
  mkdirSync(join(root, 'default'), { recursive: true });
  const file = join(root, 'default', 'cert.pem');
  writeFileSync(file, 'mounted alone\n');
  const { warnings } = await whileMounted(file, () => publishOne(root));
  assert.match(warnings.join('\n'), /cert\.pem: .*\((EBUSY|EXDEV)\)/);
  assert.equal((await readCurrent(root, 'default'))?.number, 1);
  assert.equal(readFileSync(file, 'utf8'), 'mounted alone\n');
});

test('a generation whose files lie on a broken disk is named and the next one replaces it', async (t) => {
  const root = join(scratchDirectory(t), 'certificates');
  await publishOne(root);
  const generation = join(root, 'default', '..gen-000001');
  renameSync(join(generation, 'privkey.pem'), join(generation, 'elsewhere.pem'));
  mkdirSync(join(generation, 'privkey.pem'));
  const error = await failureOf(readCurrent(root, 'default'));
  assert.match(describeError(error), /privkey\.pem: it is a directory where a file belongs; podserve certificates --mode renew/);
  await publishOne(root, 'default', { now: Date.now() + MINUTE });
  assert.equal((await readCurrent(root, 'default'))?.number, 2);
});

/** Everything but `spare` bytes. */
function fill(directory: string, spare = 0): void {
  const free = Number(execFileSync('df', ['--output=avail', '-B1', directory]).toString().split('\n')[1]);
  const size = Math.max(0, free - spare);
  writeFileSync(join(directory, 'ballast'), Buffer.alloc(size));
}

/** Lets other users reach a publication in a scratch directory. */
function openPath(root: string): void {
  chmodSync(join(root, '..'), 0o755);
}

function watched(t: TestContext, root: string): string[] {
  const controller = new AbortController();
  t.after(() => controller.abort());
  const troubles: string[] = [];
  watchPublication(root, {
    names: ['default'],
    pollMs: 50,
    signal: controller.signal,
    onChange: () => undefined,
    onTrouble: (line) => troubles.push(line),
  });
  return troubles;
}
