import type { DatabaseSync } from 'node:sqlite';

import { PodserveError } from '../platform/errors.ts';

/** Each entry takes the schema one version further; entries are never changed, only added. */
const MIGRATIONS = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
   CREATE TABLE events (
     id INTEGER PRIMARY KEY,
     at INTEGER NOT NULL,
     certificate TEXT,
     kind TEXT NOT NULL,
     reason TEXT NOT NULL,
     detail TEXT NOT NULL,
     generation INTEGER,
     discredited INTEGER NOT NULL DEFAULT 0
   ) STRICT;
   CREATE INDEX events_by_time ON events (at) WHERE discredited = 0;
   CREATE INDEX events_by_certificate ON events (certificate, id);
   CREATE TABLE outlooks (
     certificate TEXT PRIMARY KEY,
     spec_digest TEXT NOT NULL,
     link TEXT,
     not_after INTEGER,
     reason TEXT NOT NULL,
     detail TEXT NOT NULL,
     next_look INTEGER NOT NULL,
     condition TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX outlooks_by_time ON outlooks (next_look);
   CREATE TABLE failures (
     certificate TEXT PRIMARY KEY,
     count INTEGER NOT NULL,
     at INTEGER NOT NULL,
     retry_at INTEGER NOT NULL,
     message TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE deliveries (
     certificate TEXT NOT NULL,
     endpoint TEXT NOT NULL,
     servername TEXT NOT NULL,
     generation INTEGER NOT NULL,
     state TEXT NOT NULL,
     at INTEGER NOT NULL,
     detail TEXT NOT NULL,
     PRIMARY KEY (certificate, endpoint, servername)
   ) STRICT, WITHOUT ROWID;`,
  `ALTER TABLE failures ADD COLUMN kind TEXT;
   ALTER TABLE failures ADD COLUMN issuer TEXT;
   ALTER TABLE failures ADD COLUMN link TEXT;
   CREATE TABLE advice (
     certificate TEXT PRIMARY KEY,
     certificate_id TEXT NOT NULL,
     window_start INTEGER,
     window_end INTEGER,
     chosen INTEGER,
     explanation_url TEXT,
     next_ask INTEGER NOT NULL,
     failures INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE uses (
     issuer TEXT NOT NULL,
     at INTEGER NOT NULL,
     kind TEXT NOT NULL,
     subject TEXT NOT NULL,
     number INTEGER NOT NULL,
     PRIMARY KEY (issuer, at, kind, subject, number)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE holds (
     issuer TEXT PRIMARY KEY,
     until INTEGER NOT NULL,
     why TEXT NOT NULL,
     link TEXT
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE revocations (
     leaf_sha256 TEXT PRIMARY KEY,
     certificate TEXT NOT NULL,
     at INTEGER NOT NULL,
     reason TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;`,
];

/** Whether a database has the schema of this version. @throws PodserveError PUBLICATION_NEWER */
export function isCurrent(database: DatabaseSync, file: string): boolean {
  const version = schemaVersion(database);
  if (version > MIGRATIONS.length) {
    throw new PodserveError('PUBLICATION_NEWER', 'the ledger was written by a newer version of podserve', {
      where: file,
      why: `its schema is version ${version}, this program knows ${MIGRATIONS.length}`,
      remedy: 'run the newer version, or restore a backup made with this one',
    });
  }
  return version === MIGRATIONS.length;
}

/**
 * Brings a database to the schema of this version, in one transaction.
 * @throws PodserveError PUBLICATION_NEWER when it is from a later version; it is left unchanged
 */
export function migrate(database: DatabaseSync, file: string): void {
  if (isCurrent(database, file)) return;
  database.exec('BEGIN IMMEDIATE');
  try {
    // Another process may have migrated it while this one waited for the lock.
    for (const step of MIGRATIONS.slice(schemaVersion(database))) database.exec(step);
    database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function schemaVersion(database: DatabaseSync): number {
  const row = database.prepare('PRAGMA user_version').get();
  return Number(row?.['user_version'] ?? 0);
}
