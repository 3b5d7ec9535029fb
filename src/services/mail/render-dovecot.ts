import type { HeldCertificates } from '../service.ts';
import type { MailPlaces } from './places.ts';
import type { Plan } from './plan.ts';
import { CIPHERS } from './tls.ts';

/** The user whose mailboxes all are, by the number that the image gives it. */
export const MAIL_USER = { name: 'vmail', id: 60_802 } as const;

/** dovecot.conf of Dovecot 2.4. It names copies in the runtime directory, never the publication. */
export function renderDovecot({ mail, certificates }: Plan, places: MailPlaces, held: HeldCertificates): string {
  const [first, ...others] = certificates;
  const protocols = ['imap', 'lmtp', ...(mail.pop3 ? ['pop3'] : [])];
  return `${[
    'dovecot_config_version = 2.4.1',
    'dovecot_storage_version = 2.4.1',
    '# Rendered by podserve mail; changes are lost.',
    `base_dir = ${places.dovecotRun}`,
    `state_dir = ${places.dovecotRun}`,
    'log_path = /dev/stderr',
    'info_log_path = /dev/stderr',
    `protocols = ${protocols.join(' ')}`,
    'listen = *, ::',
    // A reload ends no session: processes of before it go on until their clients have gone.
    'shutdown_clients = no',

    'mail_driver = maildir',
    `mail_home = ${places.boxes}/%{user | domain}/%{user | username}`,
    'mail_path = ~/Maildir',
    `mail_uid = ${MAIL_USER.name}`,
    `mail_gid = ${MAIL_USER.name}`,
    `first_valid_uid = ${MAIL_USER.id}`,
    `last_valid_uid = ${MAIL_USER.id}`,
    // A message is on the disk before its sender hears that it was taken.
    'mail_fsync = always',

    // Of one account: with rootless podman all of its devices have one address.
    'mail_max_userip_connections = 50',
    'auth_mechanisms = plain login',
    'auth_allow_cleartext = no',
    'auth_failure_delay = 2 secs',
    'auth_username_format = %{user | lower}',
    ...block('passdb passwd-file', [`passwd_file_path = ${places.users}`, 'default_password_scheme = ARGON2ID']),
    ...block('userdb passwd-file', [`passwd_file_path = ${places.users}`]),

    'ssl = required',
    'ssl_min_protocol = TLSv1.2',
    `ssl_cipher_list = ${CIPHERS}`,
    ...certificateLines(held.get(first?.name ?? '')?.file),
    ...others.flatMap(({ name, names }) => {
      const file = held.get(name)?.file;
      return file === undefined ? [] : names.flatMap((one) => block(`local_name ${one}`, certificateLines(file)));
    }),

    'recipient_delimiter = +',
    'lmtp_save_to_detail_mailbox = no',
    ...block('mail_plugins', ['quota = yes']),
    ...(mail.quota === undefined ? [] : block('quota mailbox', [`quota_storage_size = ${mail.quota} B`])),
    ...block('protocol imap', block('mail_plugins', ['imap_quota = yes'])),
    ...block('protocol lmtp', block('mail_plugins', ['sieve = yes'])),
    ...block('sieve_script spam', ['type = before', `path = ${places.spamSieve}`]),
    ...block('sieve_script personal', ['type = personal', 'path = ~/sieve', 'active_path = ~/.dovecot.sieve']),
    ...block('namespace inbox', [
      'inbox = yes',
      ...['Drafts', 'Sent', 'Trash', 'Junk'].flatMap((box) => block(`mailbox ${box}`, ['auto = subscribe', `special_use = "\\\\${box}"`])),
    ]),

    ...block('service lmtp', block('unix_listener lmtp', ['mode = 0600', 'user = postfix'])),
    ...block('service auth', block('unix_listener auth-postfix', ['mode = 0600', 'user = postfix'])),
  ].join('\n')}\n`;
}

function certificateLines(file: string | undefined): string[] {
  return file === undefined ? [] : [`ssl_server_cert_file = ${file}`, `ssl_server_key_file = ${file}`];
}

function block(head: string, lines: readonly string[]): string[] {
  return [`${head} {`, ...lines.map((line) => `  ${line}`), '}'];
}
