import assert from 'node:assert/strict';
import { chmodSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { craftArchive, type CraftedEntry } from '../support/hostile-archive.ts';
import { OF_PROCESSES, homeIn, succeeded, backedUp, inProcess, refuses, type Home } from '../support/backup-home.ts';
import { randomStream, scaled } from '../support/scale.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { treeOf } from '../support/tree.ts';

/** Whether an archive restores to what `home` has; what it restored is removed again. */
async function isWhole(file: string, home: Home, elsewhere: Home): Promise<boolean> {
  try {
    await inProcess(file, elsewhere);
  } catch {
    return false;
  }
  assert.deepEqual(treeOf(elsewhere.state, OF_PROCESSES), treeOf(home.state, OF_PROCESSES));
  for (const name of readdirSync(elsewhere.path)) rmSync(join(elsewhere.path, name), { recursive: true });
  return true;
}

test('an archive cut off anywhere, or with any byte changed, is refused and changes nothing', async (t) => {
  const { home, file, elsewhere } = await backedUp(t);
  const whole = readFileSync(file);
  const random = randomStream('damaged archives');
  const damaged = join(elsewhere.path, '..', 'damaged.tar.gz');
  // The first ten bytes are gzip's own, among them a time and a system that nothing depends on.
  const places = Array.from({ length: scaled(200) }, () => 10 + Math.floor(random() * (whole.length - 10)));
  let harmless = 0;
  for (const place of places) {
    writeFileSync(damaged, whole.subarray(0, place));
    await refuses(damaged, elsewhere, /this backup cannot be restored: .*damaged\.tar\.gz: .*; nothing was changed/);
    const flipped = Buffer.from(whole);
    flipped[place] = (flipped[place] ?? 0) ^ (1 << Math.floor(random() * 8));
    writeFileSync(damaged, flipped);
    // A match may be found at another distance, and the last bits mean nothing: what unpacks to the same is not damaged.
    if (await isWhole(damaged, home, elsewhere)) harmless += 1;
    else await refuses(damaged, elsewhere, /damaged\.tar\.gz: /);
  }
  assert.ok(harmless <= places.length / 10, `${harmless} of ${places.length} changes went unnoticed`);
  for (const content of ['', 'garbage', 'certificates']) {
    writeFileSync(damaged, content);
    await refuses(damaged, elsewhere, /this backup cannot be restored/);
  }
  assert.deepEqual(readdirSync(join(elsewhere.path, '..')).sort(), ['backup.tar.gz', 'damaged.tar.gz', 'first', 'second']);
});

function format(entries: number): CraftedEntry {
  const document = { format: 'podserve-backup', version: 1, createdAt: '', podserve: '', host: '', entries };
  return { path: 'format.json', content: JSON.stringify(document) };
}

test('a hostile archive reaches nothing outside, whatever its entries are', async (t) => {
  const directory = scratchDirectory(t);
  const home = homeIn(join(directory, 'home'));
  const file = join(directory, 'hostile.tar.gz');
  const top: CraftedEntry = { path: 'certificates/', type: 'Directory' };
  const hostile: [RegExp, CraftedEntry[]][] = [
    [/leads elsewhere/, [format(1), { path: '../evil', content: 'x' }]],
    [/leads elsewhere/, [format(2), top, { path: 'certificates/../../evil', content: 'x' }]],
    [/is absolute/, [format(1), { path: join(directory, 'evil'), content: 'x' }]],
    [/no backup holds such a path/, [format(1), { path: 'evil', content: 'x' }]],
    [/leads out to/, [format(2), top, { path: 'certificates/l', type: 'SymbolicLink', linkpath: '/etc' }]],
    [/leads out to/, [format(2), top, { path: 'certificates/l', type: 'SymbolicLink', linkpath: '../../..' }]],
    // Through a link that is itself harmless.
    [
      /lies in no directory/,
      [
        format(4),
        top,
        { path: 'certificates/d/', type: 'Directory' },
        { path: 'certificates/l', type: 'SymbolicLink', linkpath: 'd' },
        { path: 'certificates/l/evil', content: 'x' },
      ],
    ],
    [
      /comes twice/,
      [format(3), top, { path: 'certificates/l', type: 'SymbolicLink', linkpath: 'x' }, { path: 'certificates/l', content: 'x' }],
    ],
    [
      /is a Link/,
      [format(3), top, { path: 'certificates/a', content: 'x' }, { path: 'certificates/b', type: 'Link', linkpath: 'certificates/a' }],
    ],
    [/is a (CharacterDevice|FIFO)/, [format(2), top, { path: 'certificates/c', type: 'FIFO' }]],
    [/lies in no directory/, [format(1), { path: 'certificates/a', content: 'x' }]],
    [/does not begin with format\.json/, [top]],
    [/format\.json is a/, [{ path: 'format.json', type: 'SymbolicLink', linkpath: '/etc/passwd' }]],
    [/comes twice/, [format(1), format(1)]],
    [/too large/, [{ path: 'format.json', content: ' '.repeat(100_000) }]],
    [/cut off: 1 of 2 entries/, [format(2), top]],
    [/made by a newer version/, [{ path: 'format.json', content: '{"format":"podserve-backup","version":99}' }]],
    [/no backup of podserve/, [{ path: 'format.json', content: '{}' }]],
    [/no sound tar file/, []],
  ];
  for (const [line, entries] of hostile) {
    craftArchive(file, entries);
    await refuses(file, home, line);
  }
  assert.deepEqual(readdirSync(directory).sort(), ['home', 'hostile.tar.gz']);
});

test('state of a newer version in an archive is refused, unchanged', async (t) => {
  const { home, elsewhere } = await backedUp(t);
  const file = join(home.path, '..', 'newer.tar.gz');
  const manifest = join(home.state, 'certificates', 'mail', '..gen-000002', 'manifest.json');
  const text = readFileSync(manifest, 'utf8');
  writeFileSync(manifest, text.replace('"version": 1', '"version": 2'));
  succeeded(await home.podserve('backup', file));
  await refuses(file, elsewhere, /state of a newer version of podserve: .*newer\.tar\.gz: its manifest has version 2/);
  writeFileSync(manifest, text);

  const { DatabaseSync } = await import('node:sqlite');
  using database = new DatabaseSync(join(home.state, 'authority', 'ledger.sqlite'));
  database.exec('PRAGMA user_version = 999');
  succeeded(await home.podserve('backup', '--force', file));
  await refuses(file, elsewhere, /state of a newer version of podserve: .*newer\.tar\.gz: its schema is version 999/);
});

test('an archive that is open to the world brings back no open authority and no open key', async (t) => {
  const { home, elsewhere } = await backedUp(t);
  chmodSync(join(home.state, 'authority'), 0o777);
  for (const name of readdirSync(join(home.state, 'authority', 'local-ca')))
    chmodSync(join(home.state, 'authority', 'local-ca', name), 0o666);
  chmodSync(join(home.state, 'certificates', 'mail', '..gen-000002', 'privkey.pem'), 0o4777);
  const file = join(home.path, '..', 'open.tar.gz');
  succeeded(await home.podserve('backup', file));
  succeeded(await elsewhere.podserve('restore', file));
  const modes = treeOf(elsewhere.state);
  assert.match(modes['authority'] ?? '', /^directory 700 /);
  assert.match(modes['authority/local-ca/root-000001.pem'] ?? '', /^file 600 /);
  assert.match(modes['certificates/mail/..gen-000002/privkey.pem'] ?? '', /^file 640 /);
});
