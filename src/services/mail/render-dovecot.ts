import type { HeldCertificates } from '../service.ts';
import type { MailPlaces } from './places.ts';
import type { Plan } from './plan.ts';
import { CIPHERS } from './tls.ts';

/** The user whose mailboxes all are, by the number that the image gives it. */
export const MAIL_USER = { name: 'vmail', id: 60_802 } as const;

/** More than the 100 of Dovecot: each connection has a process of its own for as long as it lasts. */
const CONNECTIONS = 500;
/** Each takes 64 MiB while it hashes a password: whoever guesses passwords must not use up the memory of the pod. */
const PASSWORDS_AT_ONCE = 4;

/** dovecot.conf of the Dovecot 2.4 that knows accounts and keeps mailboxes. No certificate is in it, and no port. */
export function renderDovecot({ mail }: Plan, places: MailPlaces): string {
  return config(places.dovecotRun, [
    `protocols = ${[...loginProtocols(mail.pop3), 'lmtp'].join(' ')}`,
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
    'auth_failure_delay = 2 secs',
    'auth_username_format = %{user | lower}',
    // A password takes a tenth of a second of a processor: by workers, so that others need not wait for it.
    ...block('passdb passwd-file', [`passwd_file_path = ${places.users}`, 'default_password_scheme = ARGON2ID', 'use_worker = yes']),
    ...block('userdb passwd-file', [`passwd_file_path = ${places.users}`]),
    'ssl = no',

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

    ...loginProtocols(mail.pop3).flatMap((protocol) => [
      ...block(`service ${protocol}-login`, [
        ...block(`inet_listener ${protocol}`, ['port = 0']),
        ...block(`inet_listener ${protocol}s`, ['port = 0']),
      ]),
      ...block(`service ${protocol}`, [`process_limit = ${CONNECTIONS}`]),
    ]),
    ...block('service auth-worker', [`process_limit = ${PASSWORDS_AT_ONCE}`]),
    ...block('service lmtp', block('unix_listener lmtp', ['mode = 0600', 'user = postfix'])),
    ...block('service auth', block('unix_listener auth-postfix', ['mode = 0600', 'user = postfix'])),
  ]);
}

/**
 * dovecot-login.conf: the Dovecot that has the ports and the certificates, as copies in the runtime directory. It asks
 * the other one about passwords and hands sessions to it, by the sockets in that one's directory for log-ins.
 */
export function renderDovecotLogin({ mail, certificates }: Plan, places: MailPlaces, held: HeldCertificates): string {
  const [first, ...others] = certificates;
  return config(places.loginRun, [
    `protocols = ${loginProtocols(mail.pop3).join(' ')}`,
    'listen = *, ::',
    'ssl = required',
    'ssl_min_protocol = TLSv1.2',
    `ssl_cipher_list = ${CIPHERS}`,
    'ssl_server_prefer_ciphers = server',
    ...certificateLines(held.get(first?.name ?? '')?.file),
    ...others.flatMap(({ name, names }) => {
      const file = held.get(name)?.file;
      return file === undefined ? [] : names.flatMap((one) => block(`local_name ${one}`, certificateLines(file)));
    }),
    ...loginProtocols(mail.pop3).flatMap((protocol) => [
      ...block(`service ${protocol}-login`, [`chroot = ${places.dovecotRun}/login`, `process_limit = ${CONNECTIONS}`]),
      ...block(`service ${protocol}`, block(`unix_listener login/${protocol}`, ['mode = 0'])),
    ]),
    ...block('service auth', block('unix_listener login/login', ['mode = 0'])),
  ]);
}

function config(directory: string, lines: readonly string[]): string {
  return `${[
    'dovecot_config_version = 2.4.1',
    'dovecot_storage_version = 2.4.1',
    '# Rendered by podserve mail; changes are lost.',
    `base_dir = ${directory}`,
    `state_dir = ${directory}`,
    'log_path = /dev/stderr',
    'info_log_path = /dev/stderr',
    // A reload ends no session: processes of before it go on until their clients have gone.
    'shutdown_clients = no',
    'auth_allow_cleartext = no',
    // Of the processes that each connection talks to, where there is one of a kind.
    `default_client_limit = ${4 * CONNECTIONS}`,
    ...lines,
  ].join('\n')}\n`;
}

function loginProtocols(pop3: boolean): string[] {
  return ['imap', ...(pop3 ? ['pop3'] : [])];
}

function certificateLines(file: string | undefined): string[] {
  return file === undefined ? [] : [`ssl_server_cert_file = ${file}`, `ssl_server_key_file = ${file}`];
}

function block(head: string, lines: readonly string[]): string[] {
  return [`${head} {`, ...lines.map((line) => `  ${line}`), '}'];
}
