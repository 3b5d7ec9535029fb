import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { PodserveError, messageOf, systemCode } from '../../platform/errors.ts';
import { readBounded, replaceFile } from '../../platform/files.ts';

export interface MailAccount {
  readonly address: string;
  /** PHC string, `$argon2id$…` */
  readonly hash: string;
  /** Bytes; undefined: what mail.quota says. */
  readonly quota: number | undefined;
  /** Other addresses that it may send as. */
  readonly sendAs: readonly string[];
}

export interface MailAlias {
  readonly address: string;
  readonly targets: readonly string[];
}

export interface MailAccounts {
  readonly accounts: readonly MailAccount[];
  readonly aliases: readonly MailAlias[];
}

/** In STATE/mail. */
export const ACCOUNTS_FILE = 'accounts.json';

const LARGEST_FILE = 16 * 2 ** 20;
const NOBODY: MailAccounts = { accounts: [], aliases: [] };

/**
 * @param directory STATE/mail
 * @returns nobody where there is no file
 * @throws PodserveError STATE_UNREADABLE when it cannot be read, or is not what `keepAccounts` wrote
 */
export function readAccounts(directory: string): MailAccounts {
  const file = join(directory, ACCOUNTS_FILE);
  let read: ReturnType<typeof readBounded>;
  try {
    read = readBounded(file, LARGEST_FILE);
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return NOBODY;
    throw unreadable(file, messageOf(cause), cause);
  }
  if ('refused' in read) throw unreadable(file, read.refused);
  try {
    return interpreted(JSON.parse(read.text));
  } catch {
    // The parser's message is dropped on purpose: it may quote a hash.
    throw unreadable(file, 'it is not JSON, or lacks what belongs in it');
  }
}

/** Replaces the file in one step. @throws PodserveError STATE_UNWRITABLE */
export async function keepAccounts(directory: string, { accounts, aliases }: MailAccounts): Promise<void> {
  const file = join(directory, ACCOUNTS_FILE);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    await replaceFile(file, `${JSON.stringify({ version: 1, accounts, aliases }, undefined, 2)}\n`, 0o600);
  } catch (cause) {
    throw new PodserveError('STATE_UNWRITABLE', 'the mail accounts could not be written', {
      where: file,
      why: messageOf(cause),
      remedy: 'run it as the user of the mail service, in its container: podman exec mail-mail podserve mail …',
      cause,
    });
  }
}

function interpreted(document: unknown): MailAccounts {
  const { version, accounts, aliases } = document as Record<string, unknown>;
  if (version !== 1 || !Array.isArray(accounts) || !Array.isArray(aliases)) throw new TypeError('not accounts');
  return {
    accounts: accounts.map((one: unknown) => {
      const { address, hash, quota, sendAs } = one as Record<string, unknown>;
      if (typeof address !== 'string' || typeof hash !== 'string' || !hash.startsWith('$argon2id$')) throw new TypeError('no account');
      return { address, hash, quota: typeof quota === 'number' ? quota : undefined, sendAs: texts(sendAs) };
    }),
    aliases: aliases.map((one: unknown) => {
      const { address, targets } = one as Record<string, unknown>;
      if (typeof address !== 'string') throw new TypeError('no alias');
      return { address, targets: texts(targets) };
    }),
  };
}

function texts(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.map(String);
}

function unreadable(where: string, why: string, cause?: unknown): PodserveError {
  return new PodserveError('STATE_UNREADABLE', 'the mail accounts cannot be read', {
    where,
    why,
    remedy: 'restore it from a backup, or move it away to begin with no accounts; mailboxes stay',
    cause,
  });
}
