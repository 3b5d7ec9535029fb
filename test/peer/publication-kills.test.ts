import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { generationDirectory } from '../../src/certificate/generation.ts';
import { FILES } from '../../src/publication/layout.ts';
import { keptGenerations, readCurrent, readGeneration } from '../../src/publication/read.ts';
import { OWN_GROUP, PUBLISHER, lockNow, publishOne } from '../support/publishing.ts';
import { adopt } from '../../src/publication/adopt.ts';
import { makeBundle } from '../support/bundles.ts';
import { startReader } from '../support/readers.ts';
import { randomStream, scaled } from '../support/scale.ts';
import { scratchDirectory } from '../support/scratch.ts';

const PUBLISHER_PROCESS = fileURLToPath(new URL('../support/publisher-process.ts', import.meta.url));
const ADOPTER_PROCESS = fileURLToPath(new URL('../support/adopter-process.ts', import.meta.url));

/** Starts a process that says `ready` before it changes anything, and waits for that. */
async function begin(t: TestContext, program: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

test('kill -9 at any moment of a publication: readers never meet a mismatch, a half or a hole, and the next run completes', async (t) => {
  const root = scratchDirectory(t);
  await publishOne(root, 'default');
  await publishOne(root, 'aging');
  const directory = join(root, 'default');
  const readers = (['resolved', 'combined', 'plain'] as const).map((way) => startReader(t, { directory, way }));
  const random = randomStream('publication kills');
  const kills = scaled(1000);
  let published = 0;
  let leftovers = 0;
  let last = 0;
  for (let count = 0; count < kills; count += 1) {
    // Every fourth publishes to one whose clock moves on, so that old generations are removed meanwhile.
    const aging = count % 4 === 3;
    const child = await begin(t, PUBLISHER_PROCESS, [root, aging ? 'aging' : 'default', aging ? '31' : '0']);
    await pause(random() * 100);
    await killed(child);
    leftovers += readdirSync(join(root, aging ? 'aging' : 'default')).filter((entry) => entry.includes('.tmp-')).length > 0 ? 1 : 0;
    const current = await readCurrent(root, aging ? 'aging' : 'default');
    assert.ok(current !== undefined, `after kill ${count} nothing is published`);
    // Also what is not current yet, or no more: a consumer that finds nothing better tries it.
    const [newest = 0] = await keptGenerations(root, aging ? 'aging' : 'default');
    await readGeneration(join(root, aging ? 'aging' : 'default', generationDirectory(newest)));
    if (!aging) {
      assert.ok(current.number >= last, `kill ${count} went back from generation ${last} to ${current.number}`);
      published += current.number - last;
      last = current.number;
    }
  }
  for (const name of ['default', 'aging']) {
    const { manifest } = await publishOne(root, name, { now: Date.now() });
    assert.equal((await readCurrent(root, name))?.number, manifest.generation);
    assert.deepEqual(
      readdirSync(join(root, name)).filter((entry) => entry.includes('.tmp-')),
      [],
      'what killed publishers left is gone',
    );
  }
  const reports = await Promise.all(readers.map((stop) => stop()));
  const aged = await keptGenerations(root, 'aging');
  t.diagnostic(
    `${kills} kills, ${leftovers} of them in the middle of a publication; ${published} publications; ` +
      reports.map(({ way, reads, different, straddled }) => `${way}: ${reads} reads of ${different}, ${straddled} straddled`).join('; '),
  );
  for (const { way, failures, different } of reports) {
    assert.deepEqual(failures, [], way);
    assert.ok(different > kills / 20, `the ${way} reader met only ${different} generations: this test tests nothing`);
  }
  assert.ok(leftovers > kills / 20, `only ${leftovers} kills met a publication half-way: this test tests nothing`);
  assert.ok(aged.length < 12, `old generations are not removed: ${aged.length} are there`);
});

test('kill -9 in the middle of the first publication: all plain names come true at once or not at all', async (t) => {
  const random = randomStream('first publication');
  let empty = 0;
  for (let count = 0; count < scaled(200); count += 1) {
    const root = scratchDirectory(t);
    const child = await begin(t, PUBLISHER_PROCESS, [root, 'default', '0', '1']);
    const stop = performance.now() + random() * 60;
    let seen = false;
    while (performance.now() < stop) {
      for (const top of [root, join(root, 'default')]) {
        const first = existsSync(join(top, 'cert.pem'));
        seen ||= first;
        if (first) for (const file of FILES) assert.ok(existsSync(join(top, file)), `${file} is missing although cert.pem is there`);
      }
      await pause(0);
    }
    await killed(child);
    const current = await readCurrent(root, 'default');
    if (current === undefined) {
      empty += 1;
      assert.equal(seen, false);
      assert.deepEqual(
        FILES.filter((file) => existsSync(join(root, 'default', file)) || existsSync(join(root, file))),
        [],
      );
    }
    const { manifest } = await publishOne(root);
    assert.equal((await readCurrent(root, 'default'))?.number, manifest.generation);
    for (const file of FILES) assert.ok(existsSync(join(root, file)));
  }
  t.diagnostic(`${empty} of ${scaled(200)} were killed before anything was published`);
  assert.ok(empty > 0, 'no kill came before the end of a first publication: this test tests nothing');
});

test('kill -9 in the middle of an adoption: the names lead to the pair all the time, and no original is lost', async (t) => {
  const random = randomStream('adoption');
  const bundle = await makeBundle({ chain: 1 });
  const originals = { 'privkey.pem': bundle.privateKeyPem, 'cert.pem': bundle.leafPem, 'chain.pem': bundle.chainPem };
  let partial = 0;
  for (let count = 0; count < scaled(200); count += 1) {
    const root = scratchDirectory(t);
    const child = await begin(t, ADOPTER_PROCESS, [root, bundle.privateKeyPem, bundle.leafPem, bundle.chainPem]);
    const stop = performance.now() + random() * 60;
    while (performance.now() < stop) {
      for (const [file, text] of Object.entries(originals)) assert.equal(readFileSync(join(root, file), 'utf8'), text);
      await pause(0);
    }
    await killed(child);
    for (const [file, text] of Object.entries(originals)) assert.equal(readFileSync(join(root, file), 'utf8'), text);
    const links = Object.keys(originals).filter((file) => lstatSync(join(root, file)).isSymbolicLink()).length;
    if (existsSync(join(root, 'default', '..data')) && links < 3) partial += 1;
    {
      await using lock = await lockNow(root);
      await adopt(lock, 'default', { now: Date.now(), keyGid: OWN_GROUP, publisher: PUBLISHER });
    }
    assert.equal((await readCurrent(root, 'default'))?.manifest.origin, 'adopted');
    const kept = readdirSync(join(root, 'default')).filter((entry) => entry.startsWith('..adopted-'));
    assert.equal(kept.length, 1);
    for (const [file, text] of Object.entries(originals)) {
      assert.equal(readFileSync(join(root, 'default', kept[0] ?? '', file), 'utf8'), text);
      assert.equal(readFileSync(join(root, file), 'utf8'), text);
    }
  }
  t.diagnostic(`${partial} of ${scaled(200)} were killed after the switch and before the last link`);
});

test('a reader that holds a generation still finds its files after a minute of constant renewal', async (t) => {
  const root = scratchDirectory(t);
  await publishOne(root);
  const held = await readCurrent(root, 'default');
  assert.ok(held !== undefined);
  const before = Object.fromEntries(FILES.map((file) => [file, readFileSync(join(held.directory, file), 'utf8')]));
  const child = await begin(t, PUBLISHER_PROCESS, [root]);
  const end = performance.now() + scaled(60_000);
  while (performance.now() < end) {
    await pause(100);
    for (const file of FILES) assert.equal(readFileSync(join(held.directory, file), 'utf8'), before[file]);
  }
  await killed(child);
  const now = await readCurrent(root, 'default');
  t.diagnostic(`${(now?.number ?? 0) - held.number} renewals in ${scaled(60_000) / 1000} s`);
  assert.ok((now?.number ?? 0) > held.number + 10);
});

test('two services on one volume take turns, and each generation is whole and counted once', async (t) => {
  const root = scratchDirectory(t);
  const each = scaled(500);
  const children = await Promise.all([1, 2].map(() => begin(t, PUBLISHER_PROCESS, [root, 'default', '0', String(each)])));
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as number));
  assert.deepEqual(codes, [0, 0]);
  assert.equal((await readCurrent(root, 'default'))?.number, 2 * each);
  assert.equal((await keptGenerations(root, 'default')).length, 2 * each);
});
