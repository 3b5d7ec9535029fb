import type { MailConfig } from '../../config/config.ts';
import type { MailAccounts } from './accounts.ts';

/** What the daemons know of accounts, as texts of the maps that they read. */
export interface AccountMaps {
  /** passwd-file of Dovecot. */
  readonly users: string;
  /** virtual_mailbox_maps, virtual_alias_maps and smtpd_sender_login_maps of Postfix. */
  readonly mailboxes: string;
  readonly aliases: string;
  readonly senders: string;
}

/** RFC 5321 §4.5.1 and RFC 2142: there is somebody to tell, at every domain. */
const ALWAYS = ['postmaster', 'abuse'];

/** @param fallback who gets what is for `postmaster` where nobody is named for it */
export function renderMaps({ accounts, aliases }: MailAccounts, { domains }: MailConfig, fallback: string | undefined): AccountMaps {
  const taken = new Set([...accounts, ...aliases].map(({ address }) => address));
  const receiver = fallback ?? accounts[0]?.address;
  const duties = receiver === undefined ? [] : domains.flatMap((domain) => ALWAYS.map((local) => `${local}@${domain}`));
  const owed = duties
    .filter((address) => !taken.has(address) && address !== receiver)
    .map((address) => ({ address, targets: [receiver ?? ''] }));
  const senders = new Map<string, string[]>();
  for (const { address, sendAs } of accounts) {
    for (const from of [address, ...sendAs]) senders.set(from, [...(senders.get(from) ?? []), address]);
  }
  return {
    users: text(
      accounts.map(
        ({ address, hash, quota }) => `${address}:${hash}::::::${quota === undefined ? '' : `userdb_quota_storage_size=${quota}B`}`,
      ),
    ),
    mailboxes: text(accounts.map(({ address }) => `${address} x`)),
    aliases: text([...aliases, ...owed].map(({ address, targets }) => `${address} ${targets.join(', ')}`)),
    senders: text([...senders].map(([from, logins]) => `${from} ${logins.join(', ')}`)),
  };
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
