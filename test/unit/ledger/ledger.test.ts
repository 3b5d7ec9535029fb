import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';

import type { Event, Ledger } from '../../../src/ledger/ledger.ts';
import { openLedger } from '../../../src/ledger/open.ts';
import { DAY } from '../../../src/platform/clock.ts';
import { PodserveError } from '../../../src/platform/errors.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const NOW = Date.parse('2026-11-23T00:00:00Z');

function event(at: number, changes: Partial<Event> = {}): Event {
  return { at, certificate: 'default', kind: 'issued', reason: 'missing', detail: 'made', generation: 1, ...changes };
}

function recordAll(ledger: Ledger, times: readonly number[]): void {
  for (const time of times) ledger.record(event(time));
}

describe('what survives a restart', () => {
  test('events, failures and outlooks are there again, readable by the owner alone', (t) => {
    const file = join(scratchDirectory(t), 'authority', 'ledger.sqlite');
    {
      using ledger = openLedger(file, NOW).ledger;
      ledger.record(event(NOW));
      ledger.keepFailure('default', { count: 3, at: NOW, retryAt: NOW + DAY, message: 'no' });
      ledger.keepOutlook({
        certificate: 'default',
        specDigest: 'd',
        link: '..gen-000001',
        notAfter: NOW + DAY,
        reason: 'not-due',
        detail: '',
        nextLook: NOW + 5,
        condition: 'well',
      });
    }
    assert.equal(statSync(file).mode & 0o777, 0o600);
    using again = openLedger(file, NOW).ledger;
    assert.equal(again.events().length, 1);
    assert.equal(again.failure('default')?.count, 3);
    assert.equal(again.outlook('default')?.link, '..gen-000001');
    assert.equal(again.nextLook(), NOW + 5);
  });
});

describe('a ledger that cannot be used', () => {
  test('garbage is set aside with a warning that names both files, and a new ledger works', (t) => {
    const directory = scratchDirectory(t);
    const file = join(directory, 'ledger.sqlite');
    writeFileSync(file, 'this is no database, and long enough to be read as one'.repeat(40));
    const opened = openLedger(file, NOW);
    using ledger = opened.ledger;
    ledger.record(event(NOW));
    assert.equal(opened.state, 'fresh');
    assert.match(opened.warning ?? '', /ledger\.sqlite is damaged .* set aside as .*damaged-2026-11-23/);
    assert.equal(readdirSync(directory).filter((name) => name.includes('.damaged-')).length, 1);
  });

  test('pages overwritten in the middle are found at the next start', (t) => {
    const file = join(scratchDirectory(t), 'ledger.sqlite');
    {
      using ledger = openLedger(file, NOW).ledger;
      ledger.together(() =>
        recordAll(
          ledger,
          Array.from({ length: 2000 }, (_, index) => NOW + index),
        ),
      );
    }
    const database = new DatabaseSync(file);
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    database.close();
    const bytes = Buffer.alloc(statSync(file).size, 0x5a);
    writeFileSync(file, bytes.subarray(0, 40_000), { flag: 'r+' });
    const opened = openLedger(file, NOW);
    using ledger = opened.ledger;
    assert.equal(opened.state, 'fresh');
    assert.equal(ledger.events().length, 0);
  });

  test('a directory in its place costs the history, not the service', (t) => {
    const file = join(scratchDirectory(t), 'ledger.sqlite');
    mkdirSync(file);
    const opened = openLedger(file, NOW);
    using ledger = opened.ledger;
    ledger.record(event(NOW));
    assert.equal(opened.state, 'in-memory');
    assert.match(opened.warning ?? '', /cannot be used/);
  });

  test('one written by a newer version is refused and left as it was', (t) => {
    const file = join(scratchDirectory(t), 'ledger.sqlite');
    openLedger(file, NOW).ledger.close();
    const database = new DatabaseSync(file);
    database.exec('PRAGMA user_version = 99');
    database.close();
    assert.throws(
      () => openLedger(file, NOW),
      (error) => error instanceof PodserveError && error.code === 'PUBLICATION_NEWER' && error.where === file,
    );
    assert.ok(existsSync(file));
    const after = new DatabaseSync(file);
    assert.equal(after.prepare('PRAGMA user_version').get()?.['user_version'], 99);
    after.close();
  });
});

describe('what the ledger knows of time', () => {
  test('a record into the past of the clock gives no evidence against it', (t) => {
    using ledger = openLedger(join(scratchDirectory(t), 'ledger.sqlite'), NOW).ledger;
    recordAll(ledger, [NOW - 2 * DAY, NOW - DAY]);
    assert.deepEqual(ledger.clockEvidence(NOW), { newest: NOW - DAY, firstAhead: undefined, lastBefore: undefined });
  });

  test('the first event ahead and the one recorded before it are found by order of recording', (t) => {
    using ledger = openLedger(join(scratchDirectory(t), 'ledger.sqlite'), NOW).ledger;
    recordAll(ledger, [NOW - DAY, NOW + 3650 * DAY, NOW + 3651 * DAY]);
    assert.deepEqual(ledger.clockEvidence(NOW), { newest: NOW + 3651 * DAY, firstAhead: NOW + 3650 * DAY, lastBefore: NOW - DAY });
  });

  test('discredited events no longer count, and stay on record', (t) => {
    using ledger = openLedger(join(scratchDirectory(t), 'ledger.sqlite'), NOW).ledger;
    recordAll(ledger, [NOW - DAY, NOW + 3650 * DAY]);
    ledger.discreditAfter(NOW);
    assert.equal(ledger.clockEvidence(NOW).newest, NOW - DAY);
    assert.equal(ledger.events().length, 2);
  });
});

test('what belongs together is written together or not at all', (t) => {
  using ledger = openLedger(join(scratchDirectory(t), 'ledger.sqlite'), NOW).ledger;
  assert.throws(() =>
    ledger.together(() => {
      ledger.record(event(NOW));
      throw new Error('stop');
    }),
  );
  assert.equal(ledger.events().length, 0);
});
