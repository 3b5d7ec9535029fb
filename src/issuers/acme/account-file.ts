import { createPrivateKey, type KeyObject } from 'node:crypto';
import { linkSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { algorithmOf } from '../../acme/jwk.ts';
import { PodserveError, systemCode } from '../../platform/errors.ts';
import { readBounded, replaceFile, syncDirectory, temporaryName } from '../../platform/files.ts';
import { makeSecretDirectory, namesIn, unreadable, unwritable } from './secret-directory.ts';

/** An account as it is kept. */
export interface StoredAccount {
  readonly file: string;
  /** Directory URL of the server that has it. */
  readonly directory: string;
  readonly key: KeyObject;
  /** Undefined from the making of the key until the server has answered. */
  readonly url: string | undefined;
  /** `mailto:` URLs as the server was last told them. */
  readonly contact: readonly string[];
  /** When the key was made or adopted, ms since the epoch. */
  readonly createdAt: number;
  /** The key of a roll-over that is not known to be through. */
  readonly nextKey: KeyObject | undefined;
}

const NAME = /^account(?:-[1-9][0-9]{0,5})?\.json$/;
const LARGEST_FILE = 64 * 1024;

/**
 * The account for a server, or undefined. Each server has a file of its own, `account.json` the first one,
 * `account-2.json` the next: an issuer whose directory URL is changed and changed back finds its account again.
 * Rejected: renaming the old one away, which two processes could do to each other's.
 * @throws PodserveError AUTHORITY_UNREADABLE naming a damaged file, where none that can be read is for the server
 */
export function readAccount(directory: string, server: string): StoredAccount | undefined {
  let damaged: unknown;
  for (const file of accountFiles(directory)) {
    try {
      const account = readAccountFile(file);
      if (account.directory === server) return account;
    } catch (error) {
      damaged ??= error;
    }
  }
  // It may be the one: without its key a second account would be made.
  if (damaged !== undefined) throw damaged;
  return undefined;
}

/**
 * Keeps a new account, unless there is one for that server meanwhile: that is given then. Two processes at once
 * get one account, as a file comes to be by link(2), whole, under a name that nobody has.
 * @throws PodserveError AUTHORITY_UNWRITABLE, AUTHORITY_UNREADABLE
 */
export async function addAccount(directory: string, account: Omit<StoredAccount, 'file'>): Promise<StoredAccount> {
  for (;;) {
    const present = readAccount(directory, account.directory);
    if (present !== undefined) return present;
    const file = freeName(directory);
    const temporary = temporaryName(file);
    try {
      await makeSecretDirectory(directory);
      await replaceFile(temporary, serialised(account), 0o600);
      if (!linked(temporary, file)) continue;
      await syncDirectory(directory);
      return { ...account, file };
    } catch (error) {
      throw unwritable('the new ACME account could not be kept', file, error);
    } finally {
      rmSync(temporary, { force: true });
    }
  }
}

/** Keeps what changed of an account. @throws PodserveError AUTHORITY_UNWRITABLE */
export async function updateAccount(account: StoredAccount): Promise<StoredAccount> {
  try {
    await replaceFile(account.file, serialised(account), 0o600);
  } catch (error) {
    throw unwritable('what changed of the ACME account could not be kept', account.file, error);
  }
  return account;
}

/** @returns false where another process was first */
function linked(temporary: string, file: string): boolean {
  try {
    linkSync(temporary, file);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function accountFiles(directory: string): string[] {
  try {
    const names = namesIn(directory).filter((name) => NAME.test(name));
    return names.sort().map((name) => join(directory, name));
  } catch (error) {
    throw unreadable('the ACME account cannot be read', directory, error);
  }
}

function freeName(directory: string): string {
  for (let number = 1; ; number += 1) {
    const file = join(directory, number === 1 ? 'account.json' : `account-${number}.json`);
    if (statSync(file, { throwIfNoEntry: false }) === undefined) return file;
  }
}

function serialised({ directory, key, url, contact, createdAt, nextKey }: Omit<StoredAccount, 'file'>): string {
  const document = {
    version: 1,
    directory,
    url,
    contact,
    createdAt: new Date(createdAt).toISOString(),
    key: pemOfKey(key),
    nextKey: nextKey === undefined ? undefined : pemOfKey(nextKey),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function pemOfKey(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}

function readAccountFile(file: string): StoredAccount {
  let read: ReturnType<typeof readBounded>;
  try {
    read = readBounded(file, LARGEST_FILE);
  } catch (error) {
    throw unreadable('the ACME account cannot be read', file, error);
  }
  if ('refused' in read) throw damage(file, read.refused);
  let document: unknown;
  try {
    document = JSON.parse(read.text);
  } catch {
    // The parser's message is dropped on purpose: it may quote the key.
    throw damage(file, 'it is not JSON');
  }
  return interpreted(file, document);
}

function interpreted(file: string, document: unknown): StoredAccount {
  const { version, directory, key, nextKey, url, contact, createdAt } = (document ?? {}) as Readonly<Record<string, unknown>>;
  if (version !== 1) throw damage(file, typeof version === 'number' ? 'a newer version of podserve wrote it' : 'it has no version');
  if (typeof directory !== 'string') throw damage(file, 'it has no directory');
  if (url !== undefined && (typeof url !== 'string' || !URL.canParse(url))) throw damage(file, 'its url is none');
  const contacts = Array.isArray(contact) ? contact.filter((one) => typeof one === 'string') : [];
  const since = typeof createdAt === 'string' ? Date.parse(createdAt) : Number.NaN;
  return {
    file,
    directory,
    key: readKey(file, key, 'key'),
    nextKey: nextKey === undefined ? undefined : readKey(file, nextKey, 'nextKey'),
    url,
    contact: contacts,
    createdAt: Number.isNaN(since) ? 0 : since,
  };
}

function readKey(file: string, pem: unknown, field: string): KeyObject {
  try {
    const key = createPrivateKey(String(pem));
    algorithmOf(key);
    return key;
  } catch {
    // OpenSSL's message is dropped on purpose: nothing derived from a key goes into an error.
    throw damage(file, `its ${field} is no private key that can sign for an account`);
  }
}

function damage(file: string, why: string): PodserveError {
  return new PodserveError('AUTHORITY_UNREADABLE', 'the ACME account cannot be read', {
    where: file,
    why,
    remedy: 'restore it from a backup; or move it away, and a new account is made',
  });
}
