import type { HeldCertificates } from '../service.ts';
import type { MailPlaces } from './places.ts';
import type { Plan } from './plan.ts';
import { CIPHERS } from './tls.ts';

/** Relaying is by authentication alone: an address proves nothing, for rootless port forwarding makes every client look local. */
const MAY_RELAY = 'permit_sasl_authenticated, reject_unauth_destination';

/** main.cf of Postfix 3.10 (postconf(5)). It names copies in the runtime directory, never the publication. */
export function renderMain({ mail, certificates }: Plan, places: MailPlaces, held: HeldCertificates): string {
  const chain = held.get(certificates[0]?.name ?? '')?.file;
  return lines([
    '# Rendered by podserve mail; changes are lost.',
    'compatibility_level = 3.10',
    `queue_directory = ${places.queue}`,
    `data_directory = ${places.postfixData}`,
    'command_directory = /usr/sbin',
    'daemon_directory = /usr/lib/postfix/sbin',
    'meta_directory = /etc/postfix',
    'shlib_directory = /usr/lib/postfix',
    'mail_owner = postfix',
    'setgid_group = postdrop',
    'default_privs = nobody',
    'maillog_file = /dev/stdout',
    `myhostname = ${mail.hostname}`,
    `myorigin = ${mail.domains[0]}`,
    'mydestination =',
    'mynetworks =',
    'inet_protocols = all',
    'local_recipient_maps =',
    'local_transport = error:there are no local users',
    'alias_maps =',
    'alias_database =',
    'smtpd_banner = $myhostname ESMTP',
    'biff = no',
    // A log-in server that was away for a moment costs a moment, not a minute.
    'service_throttle_time = 1s',

    // What had to wait, for a full volume or a greylist, is tried again in a minute, then ever more rarely.
    'queue_run_delay = 60s',
    'minimal_backoff_time = 60s',

    // Who has a mailbox here.
    `virtual_mailbox_domains = ${mail.domains.join(', ')}`,
    `virtual_mailbox_maps = lmdb:${places.mailboxes}`,
    `virtual_alias_maps = lmdb:${places.aliases}`,
    `virtual_transport = lmtp:unix:${places.lmtp}`,
    // One process for each mailbox at a time: Dovecot serves many at once, and one that waits holds up no other.
    'lmtp_destination_recipient_limit = 1',
    'recipient_delimiter = +',
    `message_size_limit = ${mail.messageSize}`,
    'mailbox_size_limit = 0',
    'virtual_mailbox_limit = 0',

    // Never an open relay.
    `smtpd_relay_restrictions = ${MAY_RELAY}`,
    'smtpd_recipient_restrictions = reject_non_fqdn_recipient, reject_unknown_recipient_domain',
    'smtpd_sender_restrictions = reject_non_fqdn_sender',
    'smtpd_helo_required = yes',
    'disable_vrfy_command = yes',
    'allow_percent_hack = no',
    'swap_bangpath = no',
    'strict_rfc821_envelopes = yes',
    // SMTP smuggling (CVE-2023-51764): nothing but <CR><LF>.<CR><LF> ends a message.
    'smtpd_forbid_bare_newline = reject',
    'smtpd_forbid_unauth_pipelining = yes',
    'smtpd_data_restrictions = reject_unauth_pipelining',
    'smtpd_reject_unlisted_recipient = yes',

    // Who may send.
    'smtpd_sasl_type = dovecot',
    `smtpd_sasl_path = ${places.auth}`,
    'smtpd_sasl_auth_enable = no',
    'smtpd_tls_auth_only = yes',
    `smtpd_sender_login_maps = lmdb:${places.senders}`,
    'smtpd_client_connection_rate_limit = 0',
    'smtpd_hard_error_limit = 10',
    'smtpd_error_sleep_time = 1s',

    // TLS.
    'smtpd_tls_security_level = may',
    ...(chain === undefined ? [] : [`smtpd_tls_chain_files = ${chain}`]),
    `tls_server_sni_maps = lmdb:${places.sni}`,
    'smtpd_tls_protocols = >=TLSv1.2',
    'smtpd_tls_mandatory_protocols = >=TLSv1.2',
    'smtpd_tls_ciphers = high',
    'smtpd_tls_mandatory_ciphers = high',
    `tls_high_cipherlist = ${CIPHERS}`,
    'tls_preempt_cipherlist = yes',
    'tls_ssl_options = NO_RENEGOTIATION, NO_COMPRESSION',
    'smtpd_tls_loglevel = 1',
    'smtpd_tls_received_header = yes',
    'smtp_tls_security_level = may',
    'smtp_tls_protocols = >=TLSv1.2',

    // Rspamd signs what goes out and judges what comes in. Without it nothing is taken or lost: senders try again.
    `smtpd_milters = unix:${places.milter}`,
    'milter_default_action = tempfail',
    'milter_mail_macros = i {mail_addr} {client_addr} {client_name} {auth_authen}',

    ...relayLines(mail.relay?.server, mail.relay?.credentialsFile !== undefined, places),
  ]);
}

function relayLines(server: string | undefined, withPassword: boolean, places: MailPlaces): string[] {
  if (server === undefined) return [];
  const [, host = server, port = '587'] = /^\[?([^\]]*)\]?:(\d+)$/.exec(server) ?? [];
  return [
    `relayhost = [${host}]:${port}`,
    ...(port === '465' ? ['smtp_tls_wrappermode = yes'] : []),
    'smtp_tls_security_level = verify',
    'smtp_tls_CApath = /etc/ssl/certs',
    ...(withPassword
      ? [
          'smtp_sasl_auth_enable = yes',
          `smtp_sasl_password_maps = texthash:${places.relayPasswords}`,
          'smtp_sasl_security_options = noanonymous',
        ]
      : []),
  ];
}

/** master.cf (master(5)): nothing runs in a chroot, for the container is one. */
export function renderMaster(places: MailPlaces): string {
  const authenticated = [
    '  -o smtpd_sasl_auth_enable=yes',
    '  -o smtpd_client_restrictions=permit_sasl_authenticated,reject',
    '  -o smtpd_sender_restrictions=reject_non_fqdn_sender,reject_sender_login_mismatch',
    `  -o { smtpd_end_of_data_restrictions = check_policy_service { unix:${places.policy}, default_action=DUNNO } }`,
    '  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject',
  ];
  return lines([
    '# Rendered by podserve mail; changes are lost.',
    'smtp        inet  n - n - - smtpd',
    'submission  inet  n - n - - smtpd',
    '  -o smtpd_tls_security_level=encrypt',
    ...authenticated,
    'submissions inet  n - n - - smtpd',
    '  -o smtpd_tls_wrappermode=yes',
    ...authenticated,
    'pickup      unix  n - n 60 1 pickup',
    'cleanup     unix  n - n - 0 cleanup',
    'qmgr        unix  n - n 300 1 qmgr',
    'tlsmgr      unix  - - n 1000? 1 tlsmgr',
    'rewrite     unix  - - n - - trivial-rewrite',
    'bounce      unix  - - n - 0 bounce',
    'defer       unix  - - n - 0 bounce',
    'trace       unix  - - n - 0 bounce',
    'verify      unix  - - n - 1 verify',
    'flush       unix  n - n 1000? 0 flush',
    'proxymap    unix  - - n - - proxymap',
    'proxywrite  unix  - - n - 1 proxymap',
    'smtp        unix  - - n - - smtp',
    'relay       unix  - - n - - smtp',
    'showq       unix  n - n - - showq',
    'error       unix  - - n - - error',
    'retry       unix  - - n - - error',
    'discard     unix  - - n - - discard',
    'lmtp        unix  - - n - - lmtp',
    'anvil       unix  - - n - 1 anvil',
    'scache      unix  - - n - 1 scache',
    'postlog     unix-dgram n - n - 1 postlogd',
  ]);
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}
