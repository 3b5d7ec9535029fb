import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { run, start, type Finished, type RunOptions, type Running } from '../command.ts';
import { unpackedDebianPackage } from '../debian-packages.ts';
import { scratchDirectory } from '../scratch.ts';

export interface CaddyOptions {
  /** Names that resolve to 127.0.0.1 for Caddy and for whatever runs inside. */
  readonly names?: readonly string[];
  /** Of what it issues, as Caddy reads durations. Default: its own, 12h. */
  readonly lifetime?: string;
}

/** Caddy's `acme_server` in a network of its own: it validates on ports 80 and 443 and can be told no others. */
export interface CaddyAcme {
  /** The directory URL, of use only inside. */
  readonly directory: string;
  /** The root of its HTTPS and of what it issues. */
  readonly caPem: string;
  readonly caFile: string;
  readonly daemon: Running;
  /** Runs a program to its end in Caddy's network, with its names. */
  inside(program: string, args: readonly string[], options?: RunOptions): Promise<Finished>;
}

/** Debian sid's Caddy, unpacked; needs root for the namespaces, which end with it. */
export async function startCaddyAcme(t: Pick<TestContext, 'after'>, options: CaddyOptions = {}): Promise<CaddyAcme> {
  if (process.getuid?.() !== 0) throw new Error('Caddy must be given a network of its own: run this test as root');
  const program = join(await unpackedDebianPackage('caddy', 'sid'), 'usr/bin/caddy');
  const directory = scratchDirectory(t);
  const at = (name: string): string => join(directory, name);
  writeFileSync(at('Caddyfile'), caddyfile(at('storage'), options));
  writeFileSync(
    at('hosts'),
    ['127.0.0.1 localhost', '::1 localhost', ...(options.names ?? []).map((name) => `127.0.0.1 ${name}`), ''].join('\n'),
  );
  const script = 'ip link set lo up && mount --bind "$1" /etc/hosts && shift && exec "$@"';
  const command = ['sh', '-c', script, 'sh', at('hosts'), program, 'run', '--config', at('Caddyfile')];
  const daemon = start(t, 'unshare', ['--net', '--mount', ...command], {
    env: { XDG_CONFIG_HOME: at('config'), XDG_DATA_HOME: at('data') },
  });
  await daemon.says(/serving initial configuration/);
  await daemon.says(/certificate obtained successfully/);
  const caFile = at('storage/pki/authorities/local/root.crt');
  const enter = ['--target', String(daemon.child.pid), '--net', '--mount'];
  return {
    directory: 'https://localhost:9443/acme/local/directory',
    caPem: readFileSync(caFile, 'utf8'),
    caFile,
    daemon,
    inside(name, args, given = {}) {
      // Entering a mount namespace leaves the working directory.
      const where = given.cwd === undefined ? [] : [`--wdns=${given.cwd}`];
      return run('nsenter', [...enter, ...where, '--', name, ...args], given);
    },
  };
}

function caddyfile(storage: string, { lifetime }: CaddyOptions): string {
  return [
    '{',
    'admin off',
    'persist_config off',
    `storage file_system ${storage}`,
    'skip_install_trust',
    // Or it would take port 80, where http-01 is to be answered.
    'auto_https disable_redirects',
    '}',
    'https://localhost:9443 {',
    'tls internal',
    'acme_server {',
    ...(lifetime === undefined ? [] : [`lifetime ${lifetime}`]),
    '}',
    '}',
    '',
  ].join('\n');
}
