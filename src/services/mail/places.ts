import { join } from 'node:path';

/** Where the daemons find and keep what they need. Absolute paths. */
export interface MailPlaces {
  /** What outlives the process. */
  readonly queue: string;
  readonly postfixData: string;
  /** Of each mailbox `DOMAIN/LOCAL`. */
  readonly boxes: string;
  readonly dkim: string;
  readonly rspamdData: string;
  /** What ends with the process. */
  readonly postfixConfig: string;
  /** Of the Dovecot that keeps the mailboxes, and of the one that has the certificates (decision 0010). */
  readonly dovecotConfig: string;
  readonly loginConfig: string;
  readonly rspamdConfig: string;
  readonly dovecotRun: string;
  readonly loginRun: string;
  readonly rspamdRun: string;
  /** Accounts with the hashes of their passwords, as Dovecot reads them. */
  readonly users: string;
  /** Maps of Postfix, without the ending of their type. */
  readonly mailboxes: string;
  readonly aliases: string;
  readonly senders: string;
  readonly sni: string;
  /** Name and password at the relay. */
  readonly relayPasswords: string;
  /** Sieve that files spam into Junk. */
  readonly spamSieve: string;
  /** Sockets. */
  readonly lmtp: string;
  readonly auth: string;
  readonly milter: string;
  readonly policy: string;
}

/**
 * @param state STATE/mail
 * @param run the runtime directory
 */
export function mailPlaces(state: string, run: string): MailPlaces {
  return {
    queue: join(state, 'queue'),
    postfixData: join(state, 'postfix'),
    boxes: join(state, 'boxes'),
    dkim: join(state, 'dkim'),
    rspamdData: join(state, 'rspamd'),
    postfixConfig: join(run, 'postfix'),
    dovecotConfig: join(run, 'dovecot.conf'),
    loginConfig: join(run, 'dovecot-login.conf'),
    rspamdConfig: join(run, 'rspamd.d'),
    dovecotRun: join(run, 'dovecot'),
    loginRun: join(run, 'dovecot-login'),
    rspamdRun: join(run, 'rspamd'),
    users: join(run, 'users'),
    mailboxes: join(run, 'maps/mailboxes'),
    aliases: join(run, 'maps/aliases'),
    senders: join(run, 'maps/senders'),
    sni: join(run, 'maps/sni'),
    relayPasswords: join(run, 'maps/relay'),
    spamSieve: join(run, 'sieve/spam.sieve'),
    lmtp: join(run, 'dovecot/lmtp'),
    auth: join(run, 'dovecot/auth-postfix'),
    milter: join(run, 'rspamd/milter'),
    policy: join(run, 'policy/socket'),
  };
}
