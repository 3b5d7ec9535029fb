import type { KeyObject } from 'node:crypto';

import { describeError } from '../../platform/errors.ts';
import { newKeyPair } from '../../x509/key.ts';
import { updateAccount, type StoredAccount } from './account-file.ts';
import { failing, problemIn, type Attempt } from './classify.ts';
import { findAccount } from './find-account.ts';
import type { AccountPlace } from './place.ts';

type Known = StoredAccount & { readonly url: string };

/**
 * A new key for the account (RFC 8555 §7.3.5). It is on the disk before the server hears of it, beside the old one,
 * which goes only when the server has taken the new: at each moment one of the two opens the account. One that was cut
 * short is brought to its end instead.
 * @throws IssueFailure; PodserveError AUTHORITY_UNWRITABLE; the signal's reason
 */
export async function rollOver(place: AccountPlace, account: Known, attempt: Attempt, signal: AbortSignal): Promise<Known> {
  if (account.nextKey !== undefined) {
    const found = await findAccount(place, account.nextKey, attempt, signal);
    if (found?.url === account.url) return promoted(account, account.nextKey);
  }
  const nextKey = account.nextKey ?? (await newKeyPair('ecdsa-p256')).privateKey;
  const begun = account.nextKey === undefined ? await keep({ ...account, nextKey }) : account;
  await place.client.changeKey(begun, nextKey, signal).catch(failing(attempt));
  return promoted(begun, nextKey);
}

/**
 * Brings a roll-over that was cut short to its end. Where the server refuses, the old key is used on, and the new one
 * kept: another process may be at it.
 * @throws as `rollOver`
 */
export async function finishRollOver(place: AccountPlace, account: Known, attempt: Attempt, signal: AbortSignal): Promise<Known> {
  if (account.nextKey === undefined) return account;
  try {
    return await rollOver(place, account, attempt, signal);
  } catch (error) {
    if (problemIn(error) === undefined) throw error;
    place.log.warn(
      { issuer: place.config.name, account: account.url, error: describeError(error) },
      'the new account key is not in use yet',
    );
    return account;
  }
}

function promoted(account: Known, key: KeyObject): Promise<Known> {
  return keep({ ...account, key, nextKey: undefined });
}

async function keep(account: Known): Promise<Known> {
  return { ...(await updateAccount(account)), url: account.url };
}
