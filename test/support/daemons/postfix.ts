import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { run, start, type Finished, type Running } from '../command.ts';
import { freePort, scratchDirectory } from '../scratch.ts';
import { listening, stopAtEnd } from './ready.ts';

export interface Postfix {
  /** STARTTLS offered. */
  readonly smtp: number;
  /** STARTTLS required, as on 587. */
  readonly submission: number;
  /** TLS at once, as on 465. */
  readonly smtps: number;
  readonly daemon: Running;
  /** What its log says so far. */
  log(): string;
  /** `postfix reload` */
  reload(): Promise<Finished>;
  /** Puts another file (key first, then the chain) where smtpd reads it. */
  install(combinedFile: string): void;
}

const DAEMONS = '/usr/lib/postfix/sbin';

/** Debian's Postfix in the foreground (package postfix), on its own directories; needs root. */
export async function startPostfix(t: Pick<TestContext, 'after'>, combinedFile: string): Promise<Postfix> {
  if (process.getuid?.() !== 0) throw new Error('Postfix must be started as root: run this test as root');
  const ends = stopAtEnd(t);
  const directory = scratchDirectory(t);
  // Its daemons run as user postfix and must reach their own directories.
  chmodSync(directory, 0o755);
  const [smtp, submission, smtps] = await Promise.all([freePort(), freePort(), freePort()]);
  const at = (name: string): string => join(directory, name);
  for (const name of ['etc', 'queue', 'data', 'log']) mkdirSync(at(name));
  const [uid, gid] = await idsOf('postfix');
  chownSync(at('data'), uid, gid);
  const install = (file: string): void => {
    copyFileSync(file, at('etc/served.pem'));
    chmodSync(at('etc/served.pem'), 0o600);
  };
  install(combinedFile);
  writeFileSync(at('etc/main.cf'), mainConfiguration(directory));
  writeFileSync(at('etc/master.cf'), masterConfiguration({ smtp, submission, smtps }));
  const control = (...words: string[]): string[] => ['-c', at('etc'), ...words];
  const daemon = start(t, '/usr/sbin/postfix', control('start-fg'));
  // start-fg is a shell around master: a signal to it would leave master behind.
  ends(daemon, () => run('/usr/sbin/postfix', control('stop')));
  await listening(daemon, [smtp, submission, smtps]);
  return {
    smtp,
    submission,
    smtps,
    daemon,
    install,
    log: () => readFileSync(at('log/mail.log'), 'utf8'),
    reload: () => run('/usr/sbin/postfix', control('reload')),
  };
}

function mainConfiguration(directory: string): string {
  return [
    'compatibility_level = 3.6',
    `queue_directory = ${directory}/queue`,
    `data_directory = ${directory}/data`,
    `daemon_directory = ${DAEMONS}`,
    'command_directory = /usr/sbin',
    'mail_owner = postfix',
    'setgid_group = postdrop',
    'myhostname = mail.lab.test',
    'mydestination =',
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    'alias_maps =',
    'alias_database =',
    'local_recipient_maps =',
    // Not /dev/stdout: Node's pipes are sockets, which cannot be opened by name.
    `maillog_file = ${directory}/log/mail.log`,
    `maillog_file_prefixes = ${directory}`,
    'smtpd_tls_security_level = may',
    `smtpd_tls_chain_files = ${directory}/etc/served.pem`,
    // Without a queue manager nothing is sent anywhere: the tests only shake hands.
    'smtpd_relay_restrictions = reject',
    '',
  ].join('\n');
}

function masterConfiguration(ports: { smtp: number; submission: number; smtps: number }): string {
  return [
    `127.0.0.1:${ports.smtp} inet n - n - - smtpd`,
    `127.0.0.1:${ports.submission} inet n - n - - smtpd -o smtpd_tls_security_level=encrypt`,
    `127.0.0.1:${ports.smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes`,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'proxymap unix - - n - - proxymap',
    'anvil unix - - n - 1 anvil',
    'tlsmgr unix - - n 1000? 1 tlsmgr',
    'postlog unix-dgram n - n - 1 postlogd',
    '',
  ].join('\n');
}

async function idsOf(user: string): Promise<[uid: number, gid: number]> {
  const [uid, gid] = await Promise.all(['-u', '-g'].map(async (option) => (await run('id', [option, user])).stdout.trim()));
  if (!uid || !gid) throw new Error(`there is no user ${user}: the Debian package postfix is needed`);
  return [Number(uid), Number(gid)];
}
