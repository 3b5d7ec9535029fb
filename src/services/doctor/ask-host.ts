import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';

import { judgeClock } from '../../certificate/clock-evidence.ts';
import type { StatePaths } from '../../config/state.ts';
import { openLedgerToRead } from '../../ledger/open.ts';
import { refusalOf } from '../../platform/unreadable.ts';
import { good, problem, warning, type Finding, type Judgement } from './finding.ts';

const SUBJECT = 'this host';

/** What every certificate needs, whoever signs it: directories that can be written, and a clock that can be believed. */
export function examineHost(paths: StatePaths, now: number): Finding[] {
  const directories = [paths.state, paths.certificates, paths.authority].map(judgeDirectory);
  const odd = directories.filter(({ ok }) => ok !== 'good');
  return [
    ...(odd.length === 0 ? [good(`${paths.state} can be written`)] : odd).map((one) => ({
      subject: SUBJECT,
      check: 'state' as const,
      ...one,
    })),
    { subject: SUBJECT, check: 'clock', ...judgeRecorded(paths.ledger, now) },
  ];
}

/** Nothing is made here: what is missing is judged by the directory that it would be made in. */
function judgeDirectory(directory: string): Judgement {
  const nearest = existing(directory);
  try {
    accessSync(nearest, constants.W_OK | constants.X_OK);
    return good(`${directory} can be written`);
  } catch (error) {
    const { why, remedy } = refusalOf(nearest, error);
    return problem(`${directory} cannot be ${nearest === directory ? 'written' : 'made'}: ${why}`, remedy);
  }
}

function existing(directory: string): string {
  try {
    statSync(directory);
    return directory;
  } catch {
    return directory === '/' ? '/' : existing(dirname(directory));
  }
}

function judgeRecorded(ledgerFile: string, now: number): Judgement {
  const { ledger } = openLedgerToRead(ledgerFile);
  try {
    switch (judgeClock(ledger.clockEvidence(now), now)) {
      case 'right':
        return good('the clock is not behind anything on record');
      case 'was-ahead':
        return warning(
          'the clock was ahead when later events were recorded',
          'nothing: the next pass of podserve certificates leaves them out',
        );
      case 'behind':
        return problem('the clock is behind events on record: nothing is issued', 'set the clock, and let a time service keep it');
    }
  } finally {
    ledger.close();
  }
}
