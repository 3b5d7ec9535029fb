import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { contentsOf } from '../../../../src/services/backup/contents.ts';
import { withMailLinks } from '../../../../src/services/backup/mailboxes.ts';
import { scratchDirectory } from '../../../support/scratch.ts';

test('a message that is read, flagged or deleted while the archive is written is in it once or not at all', (t) => {
  const state = scratchDirectory(t);
  const links = join(state, 'mail/backup.tmp-000000000000');
  const box = join(state, 'mail/boxes/example.org/alice/Maildir');
  for (const directory of ['new', 'cur', 'tmp']) mkdirSync(join(box, directory), { recursive: true });
  for (const directory of ['queue', 'rspamd', 'dkim']) mkdirSync(join(state, 'mail', directory));
  for (const file of [
    'new/1.M1.mail,S=9',
    'cur/2.M2.mail:2,S',
    'cur/3.M3.mail:2,',
    'cur/4.M4.mail:2,',
    'tmp/5.M5.mail',
    'dovecot-uidlist',
    'dovecot.index.log',
  ]) {
    writeFileSync(join(box, file), file);
  }
  writeFileSync(join(state, 'mail/queue/1A2B'), 'in the queue');
  writeFileSync(join(state, 'mail/dkim/example.org.key'), 'key', { mode: 0o640 });
  writeFileSync(join(state, 'mail/accounts.json'), '{}', { mode: 0o600 });
  writeFileSync(join(state, 'mail/.lock'), '');
  const { entries } = contentsOf(state);
  mkdirSync(links);
  // Read: listed as new, and found as seen. Flagged: under another name. Deleted: gone.
  renameSync(join(box, 'new/1.M1.mail,S=9'), join(box, 'cur/1.M1.mail,S=9:2,S'));
  renameSync(join(box, 'cur/2.M2.mail:2,S'), join(box, 'cur/2.M2.mail:2,FS'));
  rmSync(join(box, 'cur/3.M3.mail:2,'));
  const held = withMailLinks(entries, links);
  rmSync(join(box, 'cur/4.M4.mail:2,'));

  const files = held.filter(({ type }) => type === 'File');
  assert.deepEqual(files.map(({ path }) => path.replace('mail/boxes/example.org/alice/Maildir', 'BOX')).toSorted(), [
    'BOX/cur/1.M1.mail,S=9:2,S',
    'BOX/cur/2.M2.mail:2,FS',
    'BOX/cur/4.M4.mail:2,',
    'BOX/dovecot-uidlist',
    'mail/accounts.json',
    'mail/dkim/example.org.key',
  ]);
  assert.deepEqual(
    files.filter(({ path }) => path.includes('/cur/')).map(({ source }) => readFileSync(source, 'utf8').slice(-12)),
    files
      .filter(({ path }) => path.includes('/cur/'))
      .map(({ path }) =>
        (path.includes('1.M1') ? 'new/1.M1.mail,S=9' : path.includes('2.M2') ? 'cur/2.M2.mail:2,S' : 'cur/4.M4.mail:2,').slice(-12),
      ),
  );
  assert.equal(files.find(({ path }) => path.endsWith('.key'))?.mode, 0o640);
  assert.ok(existsSync(links));
});

test('a message that goes from new to cur between two looks is met in one of them', (t) => {
  const state = scratchDirectory(t);
  const box = join(state, 'mail/boxes/example.org/alice/Maildir');
  for (const directory of ['cur', 'new']) mkdirSync(join(box, directory), { recursive: true });
  for (const file of ['new/1.M1', 'cur/2.M2:2,']) writeFileSync(join(box, file), '');
  const order = contentsOf(state)
    .entries.filter(({ type }) => type === 'File')
    .map(({ path }) => path.split('/').at(-2));
  assert.deepEqual(order, ['new', 'cur']);
});
