import { renameSync } from 'node:fs';
import { dirname } from 'node:path';

import { jwkThumbprint } from '../../acme/jwk.ts';
import type { Account } from '../../acme/resources.ts';
import { keyTypeOf } from '../../certificate/bundle.ts';
import { syncDirectory } from '../../platform/files.ts';
import { accountAttempt, serverOf, type KnownAccount } from './account.ts';
import { readAccount } from './account-file.ts';
import { failing } from './classify.ts';
import { IssueFailure } from './failure.ts';
import type { AccountPlace } from './place.ts';
import { rollOver } from './roll-over.ts';
import { unwritable } from './secret-directory.ts';

/** An account for people to see. */
export interface ShownAccount {
  readonly issuer: string;
  /** Directory URL. */
  readonly server: string;
  readonly file: string;
  readonly url: string;
  /** As configuration names key types, or `other`. */
  readonly keyType: string;
  /** RFC 7638, base64url. */
  readonly thumbprint: string;
  /** When its key was made or adopted, ms since the epoch. */
  readonly createdAt: number;
  /** `mailto:` URLs as the server was last told them. */
  readonly contact: readonly string[];
  /** What the server says of it. */
  readonly status: Account['status'];
}

/** @returns undefined where the issuer has no account yet @throws IssueFailure; PodserveError AUTHORITY_UNREADABLE; the signal's reason */
export async function showAccount(place: AccountPlace, signal: AbortSignal): Promise<ShownAccount | undefined> {
  const account = keptAccount(place);
  if (account === undefined) return undefined;
  const attempt = accountAttempt(place, `the account of ${place.config.name} could not be asked for`);
  const { status } = await place.client.account(account, signal).catch(failing(attempt));
  return shown(place, account, status);
}

/** A new key for the account, safe against a kill at any moment. @throws as `showAccount`; AUTHORITY_UNWRITABLE */
export async function changeAccountKey(place: AccountPlace, signal: AbortSignal): Promise<ShownAccount> {
  const attempt = accountAttempt(place, `the account key of ${place.config.name} could not be changed`);
  const account = keptAccount(place) ?? noAccount(place, attempt.what);
  return shown(place, await rollOver(place, account, attempt, signal), 'valid');
}

/**
 * Deactivates the account for good (RFC 8555 §7.3.6). Its file is renamed, not removed, so that the next order makes
 * a new account instead of failing.
 * @returns where the file is now
 * @throws as `changeAccountKey`
 */
export async function deactivateAccount(place: AccountPlace, signal: AbortSignal): Promise<string> {
  const attempt = accountAttempt(place, `the account of ${place.config.name} could not be deactivated`);
  const account = keptAccount(place) ?? noAccount(place, attempt.what);
  await place.client.deactivateAccount(account, signal).catch(failing(attempt));
  const aside = `${account.file}.deactivated-${new Date(place.clock.now()).toISOString().replaceAll(/[:.]/g, '-')}`;
  try {
    renameSync(account.file, aside);
    await syncDirectory(dirname(aside));
  } catch (error) {
    throw unwritable('the account is deactivated, but its file could not be renamed', account.file, error);
  }
  return aside;
}

function keptAccount({ directory, config }: AccountPlace): KnownAccount | undefined {
  const account = readAccount(directory, serverOf(config));
  return account?.url === undefined ? undefined : { ...account, url: account.url };
}

function noAccount({ config, directory }: AccountPlace, what: string): never {
  throw new IssueFailure(what, {
    kind: 'account',
    scope: 'issuer',
    where: directory,
    why: `there is no account with ${config.directory}`,
    remedy: 'the first order makes one',
  });
}

function shown({ config }: AccountPlace, account: KnownAccount, status: Account['status']): ShownAccount {
  const { file, url, key, createdAt, contact } = account;
  const keyed = { keyType: keyTypeOf(key), thumbprint: jwkThumbprint(key) };
  return { issuer: config.name, server: account.directory, file, url, ...keyed, createdAt, contact, status };
}
