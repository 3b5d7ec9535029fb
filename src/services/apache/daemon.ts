import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';

import { SECOND } from '../../platform/clock.ts';
import { PodserveError, messageOf } from '../../platform/errors.ts';
import type { DaemonProgram } from '../supervisor.ts';

/** Debian's httpd, as package apache2-bin installs it. */
export interface Apache {
  readonly program: string;
  readonly modulesDirectory: string;
  /** `ssl`, `http2` … */
  readonly modules: ReadonlySet<string>;
  /** Debian's table of media types, or undefined when it is not installed. */
  readonly mimeTypes: string | undefined;
  /** Whom its worker processes run as; undefined: as ourselves, who are not root. */
  readonly workers: Workers | undefined;
}

export interface Workers {
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
}

const PROGRAM = '/usr/sbin/apache2';
const MODULES = '/usr/lib/apache2/modules';
const MIME_TYPES = '/etc/mime.types';
const WORKER_USERS = ['www-data', 'nobody'];

/** @throws PodserveError DAEMON_MISSING, naming the package */
export function findApache(program = PROGRAM, modulesDirectory = MODULES): Apache {
  for (const path of [program, modulesDirectory]) {
    if (existsSync(path)) continue;
    throw new PodserveError('DAEMON_MISSING', 'Apache httpd is not installed', {
      where: path,
      why: 'there is no such file',
      remedy: 'apt-get install apache2-bin (its own service need not run)',
    });
  }
  const modules = readdirSync(modulesDirectory).flatMap((file) => /^mod_(\w+)\.so$/.exec(file)?.[1] ?? []);
  return {
    program,
    modulesDirectory,
    modules: new Set(modules),
    mimeTypes: existsSync(MIME_TYPES) ? MIME_TYPES : undefined,
    workers: process.geteuid?.() === 0 ? workers() : undefined,
  };
}

/** How it is run: in the foreground, without apache2ctl, which would read Debian's own configuration. */
export function apacheProgram(apache: Apache, configuration: string): DaemonProgram {
  return {
    name: 'httpd',
    program: apache.program,
    args: ['-D', 'FOREGROUND', '-f', configuration],
    ready: /resuming normal operations/,
    readyWithinMs: 10 * SECOND,
    stop: { signal: 'SIGWINCH', withinMs: 2.4 * SECOND },
    severity(line) {
      const level = /^\[[^\]]*?(emerg|alert|crit|error|warn|notice|info|debug|trace)\d?\]/.exec(line)?.[1];
      if (level === undefined || level === 'warn') return 'warn';
      if (level === 'notice' || level === 'info') return 'info';
      return level === 'debug' || level === 'trace' ? 'debug' : 'error';
    },
  };
}

/**
 * Lets Apache read a configuration without serving it. It says nothing about keys and certificates
 * (they were checked before): only a changed configuration needs it.
 * @throws PodserveError CONFIG_INVALID with Apache's words
 */
export async function testConfiguration(apache: Apache, file: string): Promise<void> {
  try {
    await promisify(execFile)(apache.program, ['-t', '-f', file], { env: { PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8' } });
  } catch (cause) {
    const words = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : messageOf(cause);
    throw new PodserveError('CONFIG_INVALID', 'Apache refuses the configuration made for it', {
      where: file,
      why: words,
      remedy: 'check the section apache; what was served before is served on',
      cause,
    });
  }
}

function workers(): Workers {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const user of WORKER_USERS) {
    const fields = lines.find((line) => line.startsWith(`${user}:`))?.split(':');
    if (fields !== undefined) return { user, uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new PodserveError('DAEMON_MISSING', 'Apache has no user to run its workers as', {
    where: '/etc/passwd',
    why: `neither ${WORKER_USERS.join(' nor ')} is there`,
    remedy: 'add the user www-data, or start as an ordinary user',
  });
}
