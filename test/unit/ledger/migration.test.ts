import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';

import { openLedger, openLedgerToRead } from '../../../src/ledger/open.ts';
import { PodserveError } from '../../../src/platform/errors.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const NOW = Date.parse('2026-11-23T00:00:00Z');

/** The schema of version 1, as it was released, with something in every table. */
const VERSION_1 = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE events (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, certificate TEXT, kind TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, generation INTEGER, discredited INTEGER NOT NULL DEFAULT 0) STRICT;
  CREATE INDEX events_by_time ON events (at) WHERE discredited = 0;
  CREATE INDEX events_by_certificate ON events (certificate, id);
  CREATE TABLE outlooks (certificate TEXT PRIMARY KEY, spec_digest TEXT NOT NULL, link TEXT, not_after INTEGER, reason TEXT NOT NULL,
    detail TEXT NOT NULL, next_look INTEGER NOT NULL, condition TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX outlooks_by_time ON outlooks (next_look);
  CREATE TABLE failures (certificate TEXT PRIMARY KEY, count INTEGER NOT NULL, at INTEGER NOT NULL, retry_at INTEGER NOT NULL,
    message TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE deliveries (certificate TEXT NOT NULL, endpoint TEXT NOT NULL, servername TEXT NOT NULL, generation INTEGER NOT NULL,
    state TEXT NOT NULL, at INTEGER NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (certificate, endpoint, servername)) STRICT, WITHOUT ROWID;
  INSERT INTO meta VALUES ('judgedBy', 'x');
  INSERT INTO events VALUES (7, ${NOW - 5}, 'default', 'issued', 'missing', 'made', 1, 0), (8, ${NOW - 4}, 'default', 'failed', 'expired', 'no', NULL, 1);
  INSERT INTO outlooks VALUES ('default', 'd', '..gen-000001', ${NOW + 9}, 'not-due', '', ${NOW + 5}, 'well');
  INSERT INTO failures VALUES ('default', 3, ${NOW}, ${NOW + 60_000}, 'refused');
  INSERT INTO deliveries VALUES ('default', 'https://localhost', '', 1, 'served', ${NOW}, '');
  PRAGMA user_version = 1;`;

function oldLedger(t: TestContext): string {
  const file = join(scratchDirectory(t), 'ledger.sqlite');
  const database = new DatabaseSync(file);
  database.exec(VERSION_1);
  database.close();
  return file;
}

function isRefusal(error: unknown): boolean {
  return error instanceof PodserveError && error.code === 'PUBLICATION_NEWER';
}

test('a ledger of the first version keeps all it knew', (t) => {
  const file = oldLedger(t);
  const opened = openLedger(file, NOW);
  using ledger = opened.ledger;
  assert.deepEqual([opened.state, opened.warning], ['kept', undefined]);
  assert.deepEqual(ledger.failure('default'), {
    count: 3,
    at: NOW,
    retryAt: NOW + 60_000,
    message: 'refused',
    kind: undefined,
    issuer: undefined,
    link: undefined,
  });
  assert.deepEqual(
    ledger.events().map(({ kind }) => kind),
    ['failed', 'issued'],
  );
  assert.equal(ledger.clockEvidence(NOW).newest, NOW - 5);
  assert.equal(ledger.outlook('default')?.condition, 'well');
  assert.equal(ledger.deliveries()[0]?.state, 'served');
  assert.equal(ledger.value('judgedBy'), 'x');
});

test('a ledger of the first version takes what only this version writes', (t) => {
  const file = oldLedger(t);
  {
    using ledger = openLedger(file, NOW).ledger;
    ledger.keepFailure('default', { count: 4, at: NOW, retryAt: NOW, message: 'm', kind: 'paused', issuer: 'ca', link: 'https://ca/u' });
    ledger.recordUse({ issuer: 'ca', kind: 'order', subject: '', at: NOW });
    ledger.keepHold({ issuer: 'ca', until: NOW + 1, why: '429' });
  }
  using again = openLedger(file, NOW).ledger;
  assert.deepEqual([again.failure('default')?.kind, again.failure('default')?.link], ['paused', 'https://ca/u']);
  assert.equal(again.uses('ca', 0).length, 1);
  assert.equal(again.hold('ca')?.why, '429');
});

test('a reader does not change a ledger of the first version', (t) => {
  const file = oldLedger(t);
  using ledger = openLedgerToRead(file).ledger;
  assert.equal(ledger.hold('ca'), undefined);
  const database = new DatabaseSync(file, { readOnly: true });
  t.after(() => database.close());
  assert.equal(database.prepare('PRAGMA user_version').get()?.['user_version'], 1);
});

test('a ledger of the version after this one is refused, and left as it was', (t) => {
  const file = join(scratchDirectory(t), 'ledger.sqlite');
  openLedger(file, NOW).ledger.close();
  const database = new DatabaseSync(file);
  t.after(() => database.close());
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
  database.exec(`PRAGMA user_version = ${version + 1}`);
  assert.throws(() => openLedger(file, NOW), isRefusal);
  assert.throws(() => openLedgerToRead(file), isRefusal);
  assert.equal(database.prepare('PRAGMA user_version').get()?.['user_version'], version + 1);
});
