import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { openLedger } from '../../ledger/open.ts';
import { PodserveError, describeError, messageOf } from '../../platform/errors.ts';
import { listNames } from '../../publication/layout.ts';
import { survey } from '../certificates/survey.ts';
import { readAccounts } from '../mail/accounts.ts';
import { LEDGER_FILE } from './format.ts';

export interface Proof {
  readonly certificates: readonly string[];
  readonly warnings: readonly string[];
}

/** Reads what was unpacked as the services would; `file` is the archive. @throws PodserveError PUBLICATION_NEWER */
export async function prove(staged: string, file: string, now: number): Promise<Proof> {
  const root = join(staged, 'certificates');
  const certificates = existsSync(root) ? listNames(root) : [];
  const warnings: string[] = [];
  for (const name of certificates) {
    try {
      const { current } = await survey(root, name);
      if (current.state === 'damaged')
        warnings.push(`certificate ${name} is damaged in the backup itself: ${current.why.replaceAll(staged, file)}`);
    } catch (error) {
      if (error instanceof PodserveError && error.code === 'PUBLICATION_NEWER') throw newer(file, error);
      warnings.push(`certificate ${name}: ${describeError(error).replaceAll(staged, file)}`);
    }
  }
  return {
    certificates,
    warnings: [...warnings, ...proveLedger(join(staged, LEDGER_FILE), file, now), ...proveMail(join(staged, 'mail'))],
  };
}

function proveMail(mail: string): string[] {
  try {
    readAccounts(mail);
    return [];
  } catch (error) {
    return [`the mail accounts in the backup are damaged (${messageOf(error)}): mailboxes are not`];
  }
}

/** A damaged ledger is left out: a new one is then filled from the publication. */
function proveLedger(ledgerFile: string, file: string, now: number): string[] {
  if (!existsSync(ledgerFile)) return [];
  let kept: boolean;
  try {
    const { ledger, state } = openLedger(ledgerFile, now);
    ledger.close();
    kept = state === 'kept';
  } catch (error) {
    throw newer(file, error);
  }
  if (kept) return [];
  for (const name of readdirSync(dirname(ledgerFile))) {
    if (name.startsWith(basename(ledgerFile))) rmSync(join(dirname(ledgerFile), name), { force: true });
  }
  return ['the ledger in the backup is damaged: history is lost, certificates are not'];
}

function newer(file: string, cause: unknown): unknown {
  if (!(cause instanceof PodserveError) || cause.code !== 'PUBLICATION_NEWER') return cause;
  return new PodserveError('PUBLICATION_NEWER', 'the backup holds state of a newer version of podserve', {
    where: file,
    why: cause.why ?? cause.message,
    remedy: 'restore it with that version; nothing was changed',
    cause,
  });
}
