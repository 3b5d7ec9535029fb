import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { run, start, type Finished, type Running } from '../command.ts';
import { freePort, scratchDirectory } from '../scratch.ts';
import { listening, stopAtEnd } from './ready.ts';

export interface Dovecot {
  readonly imap: number;
  readonly imaps: number;
  readonly pop3: number;
  readonly pop3s: number;
  readonly daemon: Running;
  /** `doveadm reload` */
  reload(): Promise<Finished>;
  /** Puts other files where Dovecot reads them; a reload is needed to serve them. */
  install(fullchainFile: string, keyFile: string): void;
}

/** Debian's Dovecot in the foreground (packages dovecot-imapd, dovecot-pop3d; 2.3 and 2.4), on its own directories; needs root. */
export async function startDovecot(t: Pick<TestContext, 'after'>, fullchainFile: string, keyFile: string): Promise<Dovecot> {
  if (process.getuid?.() !== 0) throw new Error('Dovecot must be started as root: run this test as root');
  const ends = stopAtEnd(t);
  const directory = scratchDirectory(t);
  chmodSync(directory, 0o755);
  const [imap, imaps, pop3, pop3s] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const install: Dovecot['install'] = (certificate, key) => {
    copyFileSync(certificate, join(directory, 'cert.pem'));
    copyFileSync(key, join(directory, 'key.pem'));
    chmodSync(join(directory, 'key.pem'), 0o600);
  };
  install(fullchainFile, keyFile);
  for (const name of ['run', 'state', 'mail']) mkdirSync(join(directory, name));
  const { stdout: version } = await run('/usr/sbin/dovecot', ['--version']);
  const file = join(directory, 'dovecot.conf');
  writeFileSync(file, configuration(directory, version.startsWith('2.3'), { imap, imaps, pop3, pop3s }));
  const daemon = start(t, '/usr/sbin/dovecot', ['-F', '-c', file]);
  ends(daemon);
  await listening(daemon, [imap, imaps, pop3, pop3s]);
  return { imap, imaps, pop3, pop3s, daemon, install, reload: () => run('/usr/bin/doveadm', ['-c', file, 'reload']) };
}

function configuration(directory: string, old: boolean, ports: Record<'imap' | 'imaps' | 'pop3' | 'pop3s', number>): string {
  const versioned = old
    ? [`ssl_cert = <${directory}/cert.pem`, `ssl_key = <${directory}/key.pem`, `mail_location = maildir:${directory}/mail`]
    : [
        `ssl_server_cert_file = ${directory}/cert.pem`,
        `ssl_server_key_file = ${directory}/key.pem`,
        'mail_driver = maildir',
        `mail_path = ${directory}/mail`,
      ];
  return [
    // 2.4 insists on these as the first lines, 2.3 does not know them.
    ...(old ? [] : ['dovecot_config_version = 2.4.0', 'dovecot_storage_version = 2.4.0']),
    'protocols = imap pop3',
    `base_dir = ${directory}/run`,
    `state_dir = ${directory}/state`,
    'listen = 127.0.0.1',
    'log_path = /dev/stderr',
    'ssl = yes',
    ...versioned,
    'service imap-login {',
    ...listener('imap', ports.imap, false),
    ...listener('imaps', ports.imaps, true),
    '}',
    'service pop3-login {',
    ...listener('pop3', ports.pop3, false),
    ...listener('pop3s', ports.pop3s, true),
    '}',
    ...(old ? ['passdb {', '  driver = static', '  args = nopassword=y', '}'] : ['passdb static {', '}']),
    '',
  ].join('\n');
}

function listener(name: string, port: number, ssl: boolean): string[] {
  return [`  inet_listener ${name} {`, `    port = ${port}`, ...(ssl ? ['    ssl = yes'] : []), '  }'];
}
