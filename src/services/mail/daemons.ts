import { existsSync, readFileSync } from 'node:fs';

import { SECOND } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import type { DaemonProgram } from '../supervisor.ts';
import type { MailPlaces } from './places.ts';
import { MAIL_USER } from './render-dovecot.ts';

/** Numbers of the users and groups that Debian's packages made: they differ from image to image. */
export interface MailUsers {
  readonly postfix: Ids;
  readonly dovecot: Ids;
  readonly rspamd: Ids;
  readonly mail: Ids;
}

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

const PROGRAMS: Readonly<Record<string, string>> = {
  '/usr/sbin/postfix': 'postfix',
  '/usr/sbin/postmap': 'postfix',
  '/usr/lib/postfix/postfix-lmdb.so': 'postfix-lmdb',
  '/usr/sbin/dovecot': 'dovecot-imapd dovecot-lmtpd',
  '/usr/bin/sievec': 'dovecot-sieve',
  '/usr/bin/rspamd': 'rspamd',
};

/** @throws PodserveError DAEMON_MISSING, naming the package */
export function findMailUsers(): MailUsers {
  const missing = Object.keys(PROGRAMS).find((path) => !existsSync(path));
  if (missing !== undefined) {
    throw new PodserveError('DAEMON_MISSING', 'the mail daemons are not installed', {
      where: missing,
      why: 'there is no such file',
      remedy: `run it in the image of the mail service (podserve up --pods), or apt-get install ${PROGRAMS[missing]} on Debian 13`,
    });
  }
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  const idsOf = (user: string): Ids => {
    const fields = lines.find((line) => line.startsWith(`${user}:`))?.split(':');
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) };
    throw new PodserveError('DAEMON_MISSING', 'a user that mail needs is not there', {
      where: '/etc/passwd',
      why: `there is no user ${user}`,
      remedy: user === MAIL_USER.name ? `useradd --system --uid ${MAIL_USER.id} ${user}` : 'install its package',
    });
  };
  return { postfix: idsOf('postfix'), dovecot: idsOf('dovecot'), rspamd: idsOf('_rspamd'), mail: idsOf(MAIL_USER.name) };
}

/**
 * Must start as root; its smtpd processes are `postfix`. `postfix start-fg` would leave a shell between us and master,
 * which passes no SIGHUP on.
 */
export function postfixProgram(places: MailPlaces): DaemonProgram {
  return {
    name: 'postfix',
    program: '/usr/lib/postfix/sbin/master',
    args: ['-c', places.postfixConfig, '-d'],
    ready: /daemon started -- version|reload -- version/,
    readyWithinMs: 15 * SECOND,
    // Ends smtpd in the middle of a message, whose sender then tries again; the queue is whole.
    stop: { signal: 'SIGTERM', withinMs: 3 * SECOND },
    severity: (line) => (/\b(?:fatal|panic|error):/.test(line) ? 'error' : /\bwarning:/.test(line) ? 'warn' : 'info'),
  };
}

/** @param config `dovecotConfig` or `loginConfig` */
export function dovecotProgram(name: 'dovecot' | 'dovecot-login', config: string): DaemonProgram {
  return {
    name,
    program: '/usr/sbin/dovecot',
    args: ['-F', '-c', config],
    ready: /starting up for|SIGHUP received - reloading/,
    readyWithinMs: 10 * SECOND,
    stop: { signal: 'SIGTERM', withinMs: 3 * SECOND },
    severity: (line) => (/: (?:Error|Fatal|Panic): /.test(line) ? 'error' : / Warning: /.test(line) ? 'warn' : 'info'),
  };
}

export function rspamdProgram(places: MailPlaces): DaemonProgram {
  const variables = { LOCAL_CONFDIR: places.rspamdConfig, DBDIR: places.rspamdData, RUNDIR: places.rspamdRun, LOGDIR: places.rspamdRun };
  return {
    name: 'rspamd',
    program: '/usr/bin/rspamd',
    args: [
      '-f',
      '-u',
      '_rspamd',
      '-g',
      '_rspamd',
      ...Object.entries(variables).map(([name, value]) => `--var=${name}=${value}`),
      '-c',
      '/etc/rspamd/rspamd.conf',
    ],
    ready: /listening for control commands/,
    readyWithinMs: 60 * SECOND,
    stop: { signal: 'SIGTERM', withinMs: 3 * SECOND },
    // One line for each message is worth more than the hundreds about its own rules.
    severity: (line) => (line.includes('rspamd_task_write_log') ? 'info' : 'debug'),
  };
}
