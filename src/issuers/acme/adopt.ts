import type { KeyObject } from 'node:crypto';

import { isHttps } from '../../acme/fields.ts';
import { algorithmOf, jwkThumbprint } from '../../acme/jwk.ts';
import { PodserveError } from '../../platform/errors.ts';
import { addAccount, updateAccount, type StoredAccount } from './account-file.ts';

/** An account that was made by another program. */
export interface ForeignAccount {
  /** Directory URL of the server that has it. */
  readonly directoryUrl: string;
  /** Private, ECDSA or RSA. */
  readonly key: KeyObject;
  readonly url: string;
  /** `mailto:` URLs, as far as they are known. */
  readonly contact?: readonly string[];
}

/**
 * Makes an account of another program, such as certbot, the issuer's own. One that the issuer has with that server
 * already is kept instead.
 * @param directory `authority/acme/<issuer>`
 * @returns the account that the issuer has now, and whether it is the adopted one
 * @throws PodserveError IMPORT_FAILED, AUTHORITY_UNREADABLE, AUTHORITY_UNWRITABLE
 */
export async function adoptAccount(
  directory: string,
  { directoryUrl, key, url, contact = [] }: ForeignAccount,
  now: number,
): Promise<{ readonly account: StoredAccount; readonly adopted: boolean }> {
  const server = URL.parse(directoryUrl)?.href;
  if (server === undefined || !isHttps(url)) throw unfit(url, 'its address, or that of its server, is no https:// URL');
  try {
    algorithmOf(key);
  } catch {
    throw unfit(url, 'its key is neither RSA nor ECDSA on P-256 or P-384');
  }
  const account = await addAccount(directory, { directory: server, key, url, contact, createdAt: now, nextKey: undefined });
  if (jwkThumbprint(account.key) !== jwkThumbprint(key)) return { account, adopted: false };
  return { account: account.url === url ? account : await updateAccount({ ...account, url }), adopted: true };
}

function unfit(where: string, why: string): PodserveError {
  return new PodserveError('IMPORT_FAILED', 'the ACME account cannot be taken over', {
    where,
    why,
    remedy: 'leave it: a new account is made with the first order',
  });
}
