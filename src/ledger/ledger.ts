import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';

import { LONGEST_RETRY } from '../certificate/advice.ts';
import { LONGEST_RETRY_AFTER } from '../certificate/backoff.ts';
import { CLOCK_TOLERANCE, LONGEST_QUIET, type ClockEvidence } from '../certificate/clock-evidence.ts';
import type { FailureKind } from '../certificate/fallback.ts';
import { caRecordsOn, type CaRecords } from './ca-records.ts';

/** Something that happened, with its reason. `at` is ms since the epoch. */
export interface Event {
  readonly at: number;
  /** The certificate's name; null for what concerns the whole service. */
  readonly certificate: string | null;
  readonly kind: EventKind;
  readonly reason: string;
  readonly detail: string;
  readonly generation: number | null;
}

type EventKind =
  | 'issued'
  | 'restored'
  | 'adopted'
  | 'imported'
  | 'noticed'
  | 'failed'
  | 'emergency'
  | 'recovered'
  | 'waiting'
  | 'root'
  | 'clock'
  | 'checked'
  | 'rebuilt'
  | 'delivery'
  | 'revoked'
  | 'rehearsed'
  | 'placeholder'
  | 'ordered'
  | 'advice';

/** How a certificate stands, as far as a person should be told of a change of it. */
export type Condition = 'well' | 'failing' | 'emergency';

/** What the last look at a certificate found: the index that lets a scan skip everything not due. */
export interface Outlook {
  readonly certificate: string;
  /** Digest of the spec that it was judged by. */
  readonly specDigest: string;
  /** Where `..data` led, e.g. `..gen-000042`; null when nothing was published. */
  readonly link: string | null;
  readonly notAfter: number | null;
  readonly reason: string;
  readonly detail: string;
  readonly nextLook: number;
  readonly condition: Condition;
}

export interface Failure {
  /** In a row. */
  readonly count: number;
  readonly at: number;
  readonly retryAt: number;
  readonly message: string;
  /** Of the last one. */
  readonly kind?: FailureKind | undefined;
  /** Who was asked last. */
  readonly issuer?: string | undefined;
  /** Where a person can end it, e.g. unpause an identifier. */
  readonly link?: string | undefined;
}

export interface Delivery {
  readonly certificate: string;
  readonly endpoint: string;
  /** Empty when no SNI is sent. */
  readonly servername: string;
  readonly generation: number;
  readonly state: 'pending' | 'served' | 'rejected';
  readonly at: number;
  readonly detail: string;
}

type Row = Readonly<Record<string, SQLOutputValue>>;

/** The rows of a ledger, to be carried to another one. */
export interface Snapshot {
  /** By table. */
  readonly known: ReadonlyMap<string, readonly Row[]>;
  /** By table: what is only ever added to. */
  readonly added: ReadonlyMap<string, readonly Row[]>;
  /** Oldest first. */
  readonly events: readonly Row[];
}

/**
 * What must survive a restart. All calls are synchronous: SQLite is, and a ledger that is only almost
 * written is worth little. Errors of the database pass through unchanged; `resilientLedger` outlives them.
 */
export interface Ledger extends CaRecords, Disposable {
  record(event: Event): void;
  /** Newest first. */
  events(filter?: { certificate?: string; limit?: number }): Event[];
  outlook(certificate: string): Outlook | undefined;
  outlooks(): Outlook[];
  /** The names and links of all outlooks: for a scan with nothing due. */
  links(): { certificate: string; link: string | null }[];
  keepOutlook(outlook: Outlook): void;
  /** Forgets certificates that are no longer configured, but neither what CAs count nor what was revoked. */
  retainOnly(certificates: ReadonlySet<string>): void;
  /** The earliest time at which some certificate wants to be looked at. */
  nextLook(): number | undefined;
  dueAt(now: number): string[];
  /** Has every certificate looked at from `now` on: what was planned no longer counts. */
  lookAgain(now: number): void;
  failure(certificate: string): Failure | undefined;
  keepFailure(certificate: string, failure: Failure): void;
  clearFailure(certificate: string): void;
  keepDelivery(delivery: Delivery): void;
  deliveries(certificate?: string): Delivery[];
  /** Forgets endpoints that a certificate is not delivered to any more. */
  retainDeliveries(certificate: string, endpoints: ReadonlySet<string>): void;
  /** Forgets events before `time`, but not the last one before a jump of the clock, which tells the jump. */
  forgetBefore(time: number): void;
  clockEvidence(now: number): ClockEvidence;
  /**
   * Takes the times of all events later than `time` out of the evidence: a wrong clock wrote them. The waits that it
   * imposed end: a failure in the future would keep everybody from trying again until then.
   */
  discreditAfter(time: number): void;
  value(key: string): string | undefined;
  keepValue(key: string, value: string): void;
  /** All that is known now, and of history the latest part. */
  snapshot(): Snapshot;
  /**
   * Takes in what another ledger knows, in place of the own; its events, uses and revocations are added where they are
   * missing. One transaction.
   */
  takeOver(snapshot: Snapshot): void;
  /** Runs `work` as one transaction: one sync for all of it. */
  together<T>(work: () => T): T;
  close(): void;
}

/** A ledger on an open, migrated database. */
export function ledgerOn(database: DatabaseSync): Ledger {
  const statements = new Map<string, StatementSync>();
  const sql = (text: string): StatementSync => {
    const known = statements.get(text);
    if (known !== undefined) return known;
    const fresh = database.prepare(text);
    statements.set(text, fresh);
    return fresh;
  };
  const links = (): { certificate: string; link: string | null }[] =>
    sql('SELECT certificate, link FROM outlooks').all() as unknown as { certificate: string; link: string | null }[];
  const rowsOf = (tables: readonly string[]): Map<string, Row[]> =>
    new Map(tables.map((table) => [table, sql(`SELECT * FROM ${table}`).all()]));
  const insert = (verb: string, table: string, row: Row): void => {
    const columns = Object.keys(row);
    sql(`${verb} INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`).run(...Object.values(row));
  };
  let depth = 0;
  /**
   * Written, so that no kill loses it, but not synced: a power cut may, unless something that is synced was written
   * after it, which takes along all that came before. For what is asked or counted anew without harm.
   */
  const unsynced = <T>(work: () => T): T => {
    // Inside a transaction nothing can be said of one statement alone.
    if (depth > 0) return work();
    database.exec('PRAGMA synchronous = NORMAL');
    try {
      return work();
    } finally {
      database.exec('PRAGMA synchronous = FULL');
    }
  };
  const close = (): void => {
    statements.clear();
    if (database.isOpen) database.close();
  };
  function together<T>(work: () => T): T {
    if (depth > 0) return work();
    database.exec('BEGIN IMMEDIATE');
    depth += 1;
    try {
      const result = work();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      if (database.isOpen && database.isTransaction) database.exec('ROLLBACK');
      throw error;
    } finally {
      depth -= 1;
    }
  }
  return {
    ...caRecordsOn(sql, unsynced),
    record(event) {
      sql('INSERT INTO events (at, certificate, kind, reason, detail, generation) VALUES (?, ?, ?, ?, ?, ?)').run(
        event.at,
        event.certificate,
        event.kind,
        event.reason,
        event.detail,
        event.generation,
      );
    },
    events({ certificate, limit = 100 } = {}) {
      const columns = 'SELECT at, certificate, kind, reason, detail, generation FROM events';
      const rows =
        certificate === undefined
          ? sql(`${columns} ORDER BY id DESC LIMIT ?`).all(limit)
          : sql(`${columns} WHERE certificate = ? ORDER BY id DESC LIMIT ?`).all(certificate, limit);
      return rows as unknown as Event[];
    },
    outlook: (certificate) => sql(`${OUTLOOK} WHERE certificate = ?`).get(certificate) as unknown as Outlook | undefined,
    outlooks: () => sql(`${OUTLOOK} ORDER BY certificate`).all() as unknown as Outlook[],
    links,
    keepOutlook(outlook) {
      sql('INSERT OR REPLACE INTO outlooks VALUES (?, ?, ?, ?, ?, ?, ?, ?)').run(
        outlook.certificate,
        outlook.specDigest,
        outlook.link,
        outlook.notAfter,
        outlook.reason,
        outlook.detail,
        Math.round(outlook.nextLook),
        outlook.condition,
      );
    },
    retainOnly(certificates) {
      for (const table of OF_CERTIFICATES) {
        for (const { certificate } of sql(`SELECT DISTINCT certificate FROM ${table}`).all()) {
          if (!certificates.has(String(certificate))) sql(`DELETE FROM ${table} WHERE certificate = ?`).run(String(certificate));
        }
      }
    },
    nextLook() {
      const row = sql('SELECT min(next_look) AS at FROM outlooks').get();
      return row?.['at'] === null || row === undefined ? undefined : Number(row['at']);
    },
    dueAt: (now) =>
      sql('SELECT certificate FROM outlooks WHERE next_look <= ?')
        .all(now)
        .map((row) => String(row['certificate'])),
    lookAgain(now) {
      sql('UPDATE outlooks SET next_look = min(next_look, ?)').run(now);
    },
    failure(certificate) {
      const row = sql(FAILURE).get(certificate);
      if (row === undefined) return undefined;
      const { kind, issuer, link, ...counted } = row as unknown as Required<Failure>;
      return { ...counted, kind: kind ?? undefined, issuer: issuer ?? undefined, link: link ?? undefined };
    },
    keepFailure(certificate, failure) {
      sql(KEEP_FAILURE).run(
        certificate,
        failure.count,
        Math.round(failure.at),
        Math.round(failure.retryAt),
        failure.message,
        failure.kind ?? null,
        failure.issuer ?? null,
        failure.link ?? null,
      );
    },
    clearFailure(certificate) {
      sql('DELETE FROM failures WHERE certificate = ?').run(certificate);
    },
    keepDelivery(delivery) {
      sql('INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)').run(
        delivery.certificate,
        delivery.endpoint,
        delivery.servername,
        delivery.generation,
        delivery.state,
        delivery.at,
        delivery.detail,
      );
    },
    deliveries(certificate) {
      const rows =
        certificate === undefined
          ? sql('SELECT * FROM deliveries').all()
          : sql('SELECT * FROM deliveries WHERE certificate = ?').all(certificate);
      return rows as unknown as Delivery[];
    },
    forgetBefore(time) {
      sql(FORGET).run(time, LONGEST_QUIET);
    },
    retainDeliveries(certificate, endpoints) {
      const known = sql('SELECT DISTINCT endpoint FROM deliveries WHERE certificate = ?').all(certificate);
      for (const { endpoint } of known) {
        if (endpoints.has(String(endpoint))) continue;
        sql('DELETE FROM deliveries WHERE certificate = ? AND endpoint = ?').run(certificate, String(endpoint));
      }
    },
    clockEvidence(now) {
      const newest = sql('SELECT max(at) AS at FROM events WHERE discredited = 0').get()?.['at'];
      if (newest === null || newest === undefined) return { newest: undefined, firstAhead: undefined, lastBefore: undefined };
      if (Number(newest) <= now + CLOCK_TOLERANCE) return { newest: Number(newest), firstAhead: undefined, lastBefore: undefined };
      const ahead = sql('SELECT id, at FROM events WHERE discredited = 0 AND at > ? ORDER BY id LIMIT 1').get(now + CLOCK_TOLERANCE);
      const before = sql('SELECT at FROM events WHERE discredited = 0 AND id < ? ORDER BY id DESC LIMIT 1').get(Number(ahead?.['id']));
      return {
        newest: Number(newest),
        firstAhead: Number(ahead?.['at']),
        lastBefore: before === undefined ? undefined : Number(before['at']),
      };
    },
    discreditAfter(time) {
      sql('UPDATE events SET discredited = 1 WHERE at > ?').run(time);
      sql('DELETE FROM failures WHERE at > ?').run(time);
      sql('DELETE FROM holds WHERE until > ?').run(time + LONGEST_RETRY_AFTER);
      sql('UPDATE advice SET next_ask = ? WHERE next_ask > ?').run(time, time + LONGEST_RETRY);
    },
    value(key) {
      const row = sql('SELECT value FROM meta WHERE key = ?').get(key);
      return row === undefined ? undefined : String(row['value']);
    },
    keepValue(key, value) {
      sql('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(key, value);
    },
    snapshot: () => ({
      known: rowsOf(KNOWN),
      added: rowsOf(ADDED_TO),
      events: sql(`SELECT * FROM (SELECT * FROM events ORDER BY id DESC LIMIT ${SNAPSHOT_EVENTS}) ORDER BY id`).all(),
    }),
    takeOver({ known, added, events }) {
      together(() => {
        for (const [table, rows] of known) {
          sql(`DELETE FROM ${table}`).run();
          for (const row of rows) insert('INSERT', table, row);
        }
        for (const [table, rows] of added) for (const row of rows) insert('INSERT OR IGNORE', table, row);
        for (const { id: _, ...event } of events) sql(ADD_EVENT).run(event);
      });
    },
    together,
    close,
    [Symbol.dispose]: close,
  };
}

const OUTLOOK = `SELECT certificate, spec_digest AS specDigest, link, not_after AS notAfter, reason, detail,
  next_look AS nextLook, condition FROM outlooks`;

const FORGET = `DELETE FROM events WHERE at < ? AND coalesce(
  (SELECT later.at FROM events AS later WHERE later.id > events.id ORDER BY later.id LIMIT 1) - at, 0) <= ?`;

const FAILURE = 'SELECT count, at, retry_at AS retryAt, message, kind, issuer, link FROM failures WHERE certificate = ?';
const KEEP_FAILURE = `INSERT OR REPLACE INTO failures (certificate, count, at, retry_at, message, kind, issuer, link)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;

/** What ends with the certificate. */
const OF_CERTIFICATES = ['outlooks', 'failures', 'deliveries', 'advice'];
/** The tables besides `events` that say how things are … */
const KNOWN = ['meta', ...OF_CERTIFICATES, 'holds'];
/** … and those that say what happened: another process may have written to them too. */
const ADDED_TO = ['uses', 'revocations'];
const SNAPSHOT_EVENTS = 1000;
const ADD_EVENT = `INSERT INTO events (at, certificate, kind, reason, detail, generation, discredited)
  SELECT :at, :certificate, :kind, :reason, :detail, :generation, :discredited WHERE NOT EXISTS (
    SELECT 1 FROM events WHERE certificate IS :certificate AND at = :at AND kind = :kind AND reason = :reason)`;
