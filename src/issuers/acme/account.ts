import type { NewAccount } from '../../acme/client.ts';
import type { Account, Signatory } from '../../acme/resources.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import { describeError } from '../../platform/errors.ts';
import { newKeyPair } from '../../x509/key.ts';
import { addAccount, readAccount, updateAccount, type StoredAccount } from './account-file.ts';
import { failing, problemIn, type Attempt } from './classify.ts';
import { externalAccount } from './eab.ts';
import { IssueFailure } from './failure.ts';
import { findAccount, isUnknownAccount } from './find-account.ts';
import type { Step } from './kinds.ts';
import type { AccountPlace, NewAccountPlace } from './place.ts';
import { finishRollOver } from './roll-over.ts';

/** An account that the server knows. */
export interface KnownAccount extends StoredAccount, Signatory {
  readonly url: string;
}

/**
 * The issuer's account: from its file, without asking the server, where that is complete; else made or found. The key
 * is on the disk before the server is asked, so a kill in between finds the same account with it.
 * @param what for the failure, in one clause
 * @throws IssueFailure; PodserveError AUTHORITY_UNREADABLE, AUTHORITY_UNWRITABLE; the signal's reason
 */
export async function ensureAccount(place: NewAccountPlace, what: string, signal: AbortSignal): Promise<KnownAccount> {
  const { config, directory, clock } = place;
  const server = serverOf(config);
  const present = readAccount(directory, server);
  const attempt = accountAttempt(place, what);
  if (present?.url !== undefined) {
    const settled = await finishRollOver(place, { ...present, url: present.url }, attempt, signal);
    return toldContact(place, settled, attempt, signal);
  }
  if (present !== undefined) return register(place, present, true, attempt, signal);
  const key = (await newKeyPair('ecdsa-p256')).privateKey;
  const contact = contactOf(config);
  const made = { directory: server, key, url: undefined, contact, createdAt: clock.now(), nextKey: undefined };
  // What the operator has to mend is found out before a key is kept.
  await binding(place, attempt, signal);
  const kept = await addAccount(directory, made);
  // Another process may have been first: then the server may know its key already.
  return register(place, kept, kept.key !== key, attempt, signal);
}

/** Once more with the same key, for a server that has lost its database. @throws as `ensureAccount` */
export async function makeAccountAnew(
  place: NewAccountPlace,
  account: KnownAccount,
  what: string,
  signal: AbortSignal,
): Promise<KnownAccount> {
  const made = await register(place, { ...account, url: undefined }, false, accountAttempt(place, what), signal);
  place.log.warn(
    { issuer: place.config.name, before: account.url, account: made.url },
    'the ACME server has forgotten the account; it was made anew with the same key',
  );
  return made;
}

/** Directory URL in one form. */
export function serverOf({ directory }: AcmeIssuerConfig): string {
  return URL.parse(directory)?.href ?? directory;
}

function contactOf({ email }: AcmeIssuerConfig): string[] {
  return email === undefined ? [] : [`mailto:${email}`];
}

export function accountAttempt({ config, clock }: AccountPlace, what: string, step: Step = 'account'): Attempt {
  return { what, issuer: config.name, server: config.directory, step, now: clock.now() };
}

async function register(
  place: NewAccountPlace,
  stored: StoredAccount,
  mayBeKnown: boolean,
  attempt: Attempt,
  signal: AbortSignal,
): Promise<KnownAccount> {
  const contact = contactOf(place.config);
  const externalAccountOf = await binding(place, attempt, signal);
  // Some CAs take a binding only once: after a kill the account may be there already.
  const found = mayBeKnown && externalAccountOf !== undefined ? await findAccount(place, stored.key, attempt, signal) : undefined;
  const request = {
    contact,
    termsOfServiceAgreed: true,
    ...(externalAccountOf === undefined ? {} : { externalAccount: externalAccountOf }),
  };
  const account = found ?? (await place.client.newAccount(stored.key, request, signal).catch(failing(attempt)));
  // One that a killed run has made was not counted by it.
  if (account.created || mayBeKnown) place.onUse('account', '');
  if (account.status !== 'valid') throw unusable(attempt, account);
  const known = await updateAccount({ ...stored, url: account.url, contact: account.created ? contact : account.contact });
  return toldContact(place, { ...known, url: account.url }, attempt, signal);
}

async function binding(place: AccountPlace, attempt: Attempt, signal: AbortSignal): Promise<NewAccount['externalAccount']> {
  const { client, config } = place;
  const { meta } = await client.directory(signal).catch(failing({ ...attempt, step: 'directory' }));
  if (config.eab !== undefined) return externalAccount(config);
  if (!meta.externalAccountRequired) return undefined;
  throw new IssueFailure(attempt.what, {
    kind: 'configuration',
    scope: 'issuer',
    where: config.directory,
    why: 'it makes accounts only for those who have one with the CA already (external account binding)',
    remedy: `set issuers.${config.name}.eab.kid and issuers.${config.name}.eab.hmacFile to what the CA gave you`,
  });
}

/**
 * Tells the server of a changed e-mail address, once. Where none is configured, what the server has stays. An address
 * that the server refuses stops no certificate.
 */
async function toldContact(place: AccountPlace, account: KnownAccount, attempt: Attempt, signal: AbortSignal): Promise<KnownAccount> {
  const contact = contactOf(place.config);
  if (contact.length === 0 || sameMembers(contact, account.contact)) return account;
  try {
    await place.client.updateContact(account, contact, signal).catch(failing(attempt));
  } catch (error) {
    if (problemIn(error) === undefined) throw error;
    // A forgotten account is made anew by the order that finds that out.
    if (isUnknownAccount(error)) return account;
    place.log.warn(
      { issuer: place.config.name, error: describeError(error) },
      'the CA does not take the new e-mail address of the account',
    );
    return account;
  }
  const told = await updateAccount({ ...account, contact });
  return { ...told, url: account.url };
}

function sameMembers(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((member) => other.includes(member));
}

function unusable({ what, issuer, server }: Attempt, account: Account): IssueFailure {
  return new IssueFailure(what, {
    kind: 'account',
    scope: 'issuer',
    where: server,
    why: `the account ${account.url} is ${account.status}`,
    remedy: `move the account file of ${issuer} away, and a new account is made`,
  });
}
