import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';

import { ledgerOn, type Event, type Ledger } from '../../../src/ledger/ledger.ts';
import { ledgerInMemory, openLedger } from '../../../src/ledger/open.ts';
import { resilientLedger } from '../../../src/ledger/resilient.ts';
import { MINUTE } from '../../../src/platform/clock.ts';
import { scratchDirectory } from '../../support/scratch.ts';

const NOW = Date.parse('2026-11-23T00:00:00Z');

function failure(count: number): Parameters<Ledger['keepFailure']>[1] {
  return { count, at: NOW, retryAt: NOW + count * MINUTE, message: 'no' };
}

function event(at: number): Event {
  return { at, certificate: 'default', kind: 'failed', reason: 'renewal-time', detail: 'd', generation: null };
}

interface Limited {
  readonly ledger: Ledger;
  readonly file: string;
  readonly told: string[];
  /** From here on the database refuses every entry. */
  readonly fill: () => void;
  readonly makeRoom: () => void;
}

function limited(t: TestContext): Limited {
  const file = join(scratchDirectory(t), 'ledger.sqlite');
  openLedger(file, NOW).ledger.close();
  const database = new DatabaseSync(file);
  const told: string[] = [];
  const ledger = resilientLedger(ledgerOn(database), { memory: ledgerInMemory, warn: (line) => told.push(line) });
  t.after(() => ledger.close());
  return {
    ledger,
    file,
    told,
    fill: () => database.exec('PRAGMA query_only = ON'),
    makeRoom: () => database.exec('PRAGMA query_only = OFF'),
  };
}

test('what the file refuses is remembered, together with what was on record', (t) => {
  const { ledger, told, fill } = limited(t);
  ledger.keepFailure('before', failure(1));
  fill();
  ledger.keepFailure('default', failure(2));
  assert.equal(ledger.failure('default')?.count, 2);
  assert.equal(ledger.failure('before')?.count, 1);
  ledger.clearFailure('before');
  assert.equal(ledger.failure('before'), undefined);
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /takes no entry \(.+\)/);
});

test('a transaction whose begin is refused is done all the same, once', (t) => {
  const { ledger, fill } = limited(t);
  fill();
  let calls = 0;
  const result = ledger.together(() => {
    calls += 1;
    ledger.record(event(NOW));
    ledger.keepValue('k', 'v');
    return 'done';
  });
  assert.deepEqual([result, calls, ledger.value('k'), ledger.events().length], ['done', 1, 'v', 1]);
});

test('a transaction whose commit is refused is not done twice and not lost', (t) => {
  const file = openLedger(join(scratchDirectory(t), 'ledger.sqlite'), NOW).ledger;
  const full: Ledger = {
    ...file,
    together: (work) =>
      file.together(() => {
        work();
        throw new Error('database or disk is full');
      }),
  };
  using ledger = resilientLedger(full, { memory: ledgerInMemory, warn: () => undefined });
  let calls = 0;
  ledger.together(() => {
    calls += 1;
    ledger.keepFailure('default', failure(3));
  });
  assert.deepEqual([calls, ledger.failure('default')?.count], [1, 3]);
});

test("an error of the caller's own undoes the transaction and reaches the caller", (t) => {
  const { ledger, told } = limited(t);
  assert.throws(
    () =>
      ledger.together(() => {
        ledger.record(event(NOW));
        throw new Error('mine');
      }),
    /mine/,
  );
  assert.deepEqual([ledger.events().length, told.length], [0, 0]);
});

test('when the file takes entries again, it gets what happened in between, without losing what others wrote', (t) => {
  const { ledger, file, told, fill, makeRoom } = limited(t);
  ledger.record(event(NOW));
  ledger.keepFailure('solved', failure(1));
  fill();
  ledger.record(event(NOW + 1));
  ledger.clearFailure('solved');
  ledger.keepFailure('default', failure(2));
  {
    using other = openLedger(file, NOW).ledger;
    other.record(event(NOW + 2));
  }
  makeRoom();
  t.mock.method(performance, 'now', () => Number.MAX_SAFE_INTEGER);
  ledger.record(event(NOW + 3));
  assert.match(told[1] ?? '', /takes entries again/);
  using again = openLedger(file, NOW).ledger;
  assert.deepEqual(
    again
      .events()
      .map(({ at }) => at - NOW)
      .sort((one, other) => one - other),
    [0, 1, 2, 3],
  );
  assert.deepEqual([again.failure('solved'), again.failure('default')?.count], [undefined, 2]);
});

test('what was kept in memory is written down at the end at the latest', (t) => {
  const { ledger, file, fill, makeRoom } = limited(t);
  fill();
  ledger.keepFailure('default', failure(2));
  makeRoom();
  ledger.close();
  using again = openLedger(file, NOW).ledger;
  assert.equal(again.failure('default')?.count, 2);
});

test('a file that is cut off under our hands stops nothing', (t) => {
  const file = join(scratchDirectory(t), 'ledger.sqlite');
  openLedger(file, NOW).ledger.close();
  const opened = openLedger(file, NOW).ledger;
  const told: string[] = [];
  using ledger = resilientLedger(opened, { memory: ledgerInMemory, warn: (line) => told.push(line) });
  for (const path of [file, `${file}-wal`]) truncateSync(path, 100);
  for (let count = 1; count <= 3; count += 1) {
    ledger.together(() => ledger.keepFailure('default', failure(count)));
    assert.equal(ledger.failure('default')?.count, count);
    assert.equal(ledger.nextLook(), undefined);
  }
});

/** One of each, as a process that deals with a CA writes them. */
function dealWithCa(ledger: Ledger, at: number): void {
  ledger.keepAdvice('default', {
    certificateId: 'a.b',
    window: { start: NOW, end: NOW + MINUTE },
    chosen: NOW + 5,
    explanationUrl: undefined,
    nextAsk: NOW + MINUTE,
    failures: 0,
  });
  ledger.recordUse({ issuer: 'ca', kind: 'order', subject: '', at });
  ledger.recordUse({ issuer: 'ca', kind: 'order', subject: '', at });
  ledger.keepHold({ issuer: 'ca', until: NOW + MINUTE, why: '429', link: 'https://ca/unpause' });
  ledger.keepRevocation({ leafSha256: `leaf ${at - NOW}`, certificate: 'default', at, reason: 'superseded' });
  ledger.keepFailure('default', { ...failure(2), kind: 'rate-limited', issuer: 'ca', link: 'https://ca/unpause' });
}

function dealings(ledger: Ledger): unknown[] {
  return [
    ledger.advice('default')?.chosen,
    ledger.uses('ca', 0).length,
    ledger.hold('ca')?.link,
    ledger.holds().length,
    ledger.revocation('leaf 0')?.reason,
    ledger.failure('default')?.kind,
    ledger.failure('default')?.link,
  ];
}

test('what a CA said and counts is carried from the file to memory and back', (t) => {
  const { ledger, file, fill, makeRoom } = limited(t);
  dealWithCa(ledger, NOW);
  const expected = dealings(ledger);
  assert.deepEqual(expected, [NOW + 5, 2, 'https://ca/unpause', 1, 'superseded', 'rate-limited', 'https://ca/unpause']);
  fill();
  ledger.keepValue('k', 'v');
  assert.deepEqual(dealings(ledger), expected);
  dealWithCa(ledger, NOW + 1);
  ledger.clearHold('ca');
  ledger.clearAdvice('default');
  makeRoom();
  ledger.close();
  using again = openLedger(file, NOW).ledger;
  assert.deepEqual(dealings(again), [undefined, 4, undefined, 0, 'superseded', 'rate-limited', 'https://ca/unpause']);
  assert.equal(again.revocation('leaf 1')?.reason, 'superseded');
});

test('a use and a revocation that another process wrote meanwhile are not lost', (t) => {
  const { ledger, file, fill, makeRoom } = limited(t);
  fill();
  ledger.recordUse({ issuer: 'ca', kind: 'order', subject: '', at: NOW });
  {
    using other = openLedger(file, NOW).ledger;
    dealWithCa(other, NOW + 1);
  }
  makeRoom();
  ledger.close();
  using again = openLedger(file, NOW).ledger;
  assert.equal(again.uses('ca', 0).length, 3);
  assert.equal(again.revocation('leaf 1')?.at, NOW + 1);
});
