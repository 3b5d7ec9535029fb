import { rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { parseIdentifier } from '../../certificate/identifier.ts';
import { SECOND } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import { lockFile } from '../../platform/file-lock.ts';
import { ACCOUNTS_FILE, keepAccounts, readAccounts, type MailAccount, type MailAccounts } from './accounts.ts';

const LOCK_WITHIN = 10 * SECOND;
/** RFC 5321 §4.1.2 dot-string, without what marks a subaddress. */
const LOCAL = /^[a-z0-9!#$&'*/=?^_`{|}~-]+(?:\.[a-z0-9!#$&'*/=?^_`{|}~-]+)*$/;
const LONGEST_LOCAL = 64;

/**
 * An address of this server, in the form that is kept: lower case, the domain as A-labels.
 * @throws PodserveError USAGE
 */
export function ownAddress(text: string, domains: readonly string[]): string {
  const address = anyAddress(text);
  const [local = '', domain = ''] = address.split('@');
  if (local.includes('+')) throw refused(text, 'what follows a + is for the owner of a mailbox to choose', 'leave it out');
  if (domains.includes(domain)) return address;
  throw refused(
    text,
    `${domain} is none of the domains of this server (${domains.join(', ')})`,
    'add it to mail.domains, or name one of those',
  );
}

/** Any address. @throws PodserveError USAGE */
export function anyAddress(text: string): string {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, Math.max(0, at)).toLowerCase();
  if (at < 1 || local.length > LONGEST_LOCAL || !LOCAL.test(local.replaceAll('+', 'x'))) {
    throw refused(text, 'it is no mail address', 'write it like you@example.org');
  }
  try {
    return `${local}@${parseIdentifier(text.slice(at + 1)).value}`;
  } catch (cause) {
    throw refused(text, 'its domain is no DNS name', 'write it like you@example.org', cause);
  }
}

/**
 * Changes the accounts under a lock, so that of two changes at once none is lost.
 * @param change throws what is wrong; then nothing is changed
 */
export async function changeAccounts(directory: string, change: (now: MailAccounts) => MailAccounts): Promise<void> {
  const { makeDirectories } = await import('../../platform/files.ts');
  makeDirectories(directory, 0o711);
  const lock = await lockFile(join(directory, `.${ACCOUNTS_FILE}.lock`), {
    holder: { host: hostname(), command: 'mail' },
    waitMs: LOCK_WITHIN,
  });
  if (typeof lock === 'string') {
    throw new PodserveError('STATE_UNWRITABLE', 'the mail accounts are being changed by another process', {
      where: join(directory, ACCOUNTS_FILE),
      why: lock,
      remedy: 'try again when that one is through',
    });
  }
  await using held = lock;
  void held;
  await keepAccounts(directory, change(readAccounts(directory)));
}

export function withAccount(now: MailAccounts, account: MailAccount): MailAccounts {
  refuseTaken(now, account.address);
  return { ...now, accounts: [...now.accounts, account] };
}

export function withPassword(now: MailAccounts, address: string, hash: string): MailAccounts {
  refuseUnknown(now.accounts, address, 'account', 'podserve mail user list');
  return { ...now, accounts: now.accounts.map((one) => (one.address === address ? { ...one, hash } : one)) };
}

export function withoutAccount(now: MailAccounts, address: string): MailAccounts {
  refuseUnknown(now.accounts, address, 'account', 'podserve mail user list');
  return { ...now, accounts: now.accounts.filter((one) => one.address !== address) };
}

export function withAlias(now: MailAccounts, address: string, targets: readonly string[]): MailAccounts {
  refuseTaken(now, address);
  const next = { ...now, aliases: [...now.aliases, { address, targets: [...new Set(targets)] }] };
  if (!leadsBack(next, address)) return next;
  throw refused(address, `it would lead back to itself by ${targets.join(', ')}`, 'name an account, or an address elsewhere');
}

export function withoutAlias(now: MailAccounts, address: string): MailAccounts {
  refuseUnknown(now.aliases, address, 'alias', 'podserve mail alias list');
  return { ...now, aliases: now.aliases.filter((one) => one.address !== address) };
}

/** Where the messages of an account lie. @param state STATE/mail */
export function mailboxOf(state: string, address: string): string {
  const [local = '', domain = ''] = address.split('@');
  return join(state, 'boxes', domain, local);
}

export function deleteMailbox(state: string, address: string): void {
  rmSync(mailboxOf(state, address), { recursive: true, force: true });
}

function leadsBack({ aliases }: MailAccounts, address: string): boolean {
  const seen = new Set<string>();
  const next = [...(aliases.find((one) => one.address === address)?.targets ?? [])];
  for (let target = next.pop(); target !== undefined; target = next.pop()) {
    if (target === address) return true;
    if (seen.has(target)) continue;
    seen.add(target);
    next.push(...(aliases.find((one) => one.address === target)?.targets ?? []));
  }
  return false;
}

function refuseTaken({ accounts, aliases }: MailAccounts, address: string): void {
  const what = accounts.some((one) => one.address === address)
    ? 'account'
    : aliases.some((one) => one.address === address)
      ? 'alias'
      : undefined;
  if (what === undefined) return;
  throw refused(
    address,
    `there is an ${what} of this address`,
    what === 'account' ? 'podserve mail user passwd changes its password' : 'remove that first',
  );
}

function refuseUnknown(all: readonly { readonly address: string }[], address: string, what: string, list: string): void {
  if (all.some((one) => one.address === address)) return;
  throw refused(address, `there is no such ${what}`, `${list} shows those that are there`);
}

function refused(where: string, why: string, remedy: string, cause?: unknown): PodserveError {
  return new PodserveError('USAGE', 'the mail accounts stay as they are', { where, why, remedy, cause });
}
