import type { SQLOutputValue, StatementSync } from 'node:sqlite';

import type { Advice } from '../certificate/advice.ts';
import type { Use } from '../certificate/rate-limits.ts';

/** An issuer that wants no orders for a while. Times are ms since the epoch. */
export interface Hold {
  readonly issuer: string;
  readonly until: number;
  readonly why: string;
  /** Where a person can end it. */
  readonly link?: string | undefined;
}

/** That a published certificate counts no longer. */
export interface Revocation {
  /** Lower-case hex. */
  readonly leafSha256: string;
  readonly certificate: string;
  /** ms since the epoch */
  readonly at: number;
  readonly reason: string;
}

/** What the ledger remembers of the dealings with CAs. */
export interface CaRecords {
  /** What the CA last said about when to renew; it may be about an earlier leaf. */
  advice(certificate: string): Advice | undefined;
  keepAdvice(certificate: string, advice: Advice): void;
  clearAdvice(certificate: string): void;
  /** Writes down a use of what a CA counts, each time anew. */
  recordUse(use: Use): void;
  /** From `since` on, oldest first. They outlive the certificate: the CA goes on counting. */
  uses(issuer: string, since: number): Use[];
  forgetUsesBefore(time: number): void;
  hold(issuer: string): Hold | undefined;
  /** By issuer, past ones too. */
  holds(): Hold[];
  /** In place of the issuer's earlier one. */
  keepHold(hold: Hold): void;
  clearHold(issuer: string): void;
  revocation(leafSha256: string): Revocation | undefined;
  /** The first one stays: a certificate is revoked once. */
  keepRevocation(revocation: Revocation): void;
}

/** The records on a migrated database, whose statements `sql` prepares. */
export function caRecordsOn(sql: (text: string) => StatementSync, unsynced: <T>(work: () => T) => T): CaRecords {
  return {
    advice(certificate) {
      const row = sql(ADVICE).get(certificate);
      return row === undefined ? undefined : adviceFrom(row);
    },
    keepAdvice(certificate, { certificateId, window, chosen, explanationUrl, nextAsk, failures }) {
      unsynced(() =>
        sql(KEEP_ADVICE).run(
          certificate,
          certificateId,
          wholeOrNull(window?.start),
          wholeOrNull(window?.end),
          wholeOrNull(chosen),
          explanationUrl ?? null,
          Math.round(nextAsk),
          failures,
        ),
      );
    },
    clearAdvice(certificate) {
      sql('DELETE FROM advice WHERE certificate = ?').run(certificate);
    },
    recordUse({ issuer, kind, subject, at }) {
      unsynced(() => sql(RECORD_USE).run({ issuer, kind, subject, at: Math.round(at) }));
    },
    uses: (issuer, since) => sql(USES).all(issuer, since) as unknown as Use[],
    forgetUsesBefore(time) {
      sql('DELETE FROM uses WHERE at < ?').run(time);
    },
    hold(issuer) {
      const row = sql(`${HOLDS} WHERE issuer = ?`).get(issuer);
      return row === undefined ? undefined : holdFrom(row);
    },
    holds: () => sql(`${HOLDS} ORDER BY issuer`).all().map(holdFrom),
    keepHold({ issuer, until, why, link }) {
      sql('INSERT OR REPLACE INTO holds (issuer, until, why, link) VALUES (?, ?, ?, ?)').run(issuer, Math.round(until), why, link ?? null);
    },
    clearHold(issuer) {
      sql('DELETE FROM holds WHERE issuer = ?').run(issuer);
    },
    revocation: (leafSha256) => sql(REVOCATION).get(leafSha256) as unknown as Revocation | undefined,
    keepRevocation({ leafSha256, certificate, at, reason }) {
      sql('INSERT OR IGNORE INTO revocations (leaf_sha256, certificate, at, reason) VALUES (?, ?, ?, ?)').run(
        leafSha256,
        certificate,
        Math.round(at),
        reason,
      );
    },
  };
}

const ADVICE = `SELECT certificate_id, window_start, window_end, chosen, explanation_url, next_ask, failures
  FROM advice WHERE certificate = ?`;

const KEEP_ADVICE = `INSERT OR REPLACE INTO advice
  (certificate, certificate_id, window_start, window_end, chosen, explanation_url, next_ask, failures)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;

const RECORD_USE = `INSERT INTO uses (issuer, at, kind, subject, number)
  SELECT :issuer, :at, :kind, :subject, count(*) FROM uses
  WHERE issuer = :issuer AND at = :at AND kind = :kind AND subject = :subject`;

const USES = 'SELECT issuer, kind, subject, at FROM uses WHERE issuer = ? AND at >= ? ORDER BY at';

const HOLDS = 'SELECT issuer, until, why, link FROM holds';

const REVOCATION = 'SELECT leaf_sha256 AS leafSha256, certificate, at, reason FROM revocations WHERE leaf_sha256 = ?';

type Row = Readonly<Record<string, SQLOutputValue>>;

function adviceFrom(row: Row): Advice {
  const start = numberOrUndefined(row['window_start']);
  const end = numberOrUndefined(row['window_end']);
  return {
    certificateId: String(row['certificate_id']),
    window: start === undefined || end === undefined ? undefined : { start, end },
    chosen: numberOrUndefined(row['chosen']),
    explanationUrl: textOrUndefined(row['explanation_url']),
    nextAsk: Number(row['next_ask']),
    failures: Number(row['failures']),
  };
}

function holdFrom(row: Row): Hold {
  return {
    issuer: String(row['issuer']),
    until: Number(row['until']),
    why: String(row['why']),
    link: textOrUndefined(row['link']),
  };
}

function wholeOrNull(time: number | undefined): number | null {
  return time === undefined ? null : Math.round(time);
}

function numberOrUndefined(value: SQLOutputValue | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function textOrUndefined(value: SQLOutputValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
