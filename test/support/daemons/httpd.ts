import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { start, type Running } from '../command.ts';
import { freePort, scratchDirectory } from '../scratch.ts';
import { listening, stopAtEnd } from './ready.ts';

export interface HttpdSite {
  readonly name: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface Httpd {
  readonly http: number;
  readonly https: number;
  readonly daemon: Running;
  /** SIGUSR1: graceful. Returns before it is done. */
  reload(): void;
}

const MODULES = ['mpm_event', 'authz_core', 'ssl', 'socache_shmcb'];

/** Debian's Apache in the foreground (package apache2-bin), one virtual host a site, the first being the default. */
export async function startHttpd(t: Pick<TestContext, 'after'>, sites: readonly HttpdSite[]): Promise<Httpd> {
  const ends = stopAtEnd(t);
  const directory = scratchDirectory(t);
  const [http, https] = await Promise.all([freePort(), freePort()]);
  mkdirSync(join(directory, 'htdocs'));
  writeFileSync(join(directory, 'htdocs', 'index.html'), 'it works\n');
  const configuration = [
    ...MODULES.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`),
    `ServerRoot ${directory}`,
    `DefaultRuntimeDir ${directory}`,
    `PidFile ${directory}/httpd.pid`,
    'ServerName httpd.test',
    // Not /dev/stderr: Node's pipes are sockets, which cannot be opened by name.
    `ErrorLog ${directory}/error.log`,
    'StartServers 1',
    'ThreadsPerChild 16',
    'MaxRequestWorkers 64',
    `Listen 127.0.0.1:${http}`,
    `Listen 127.0.0.1:${https}`,
    `DocumentRoot ${directory}/htdocs`,
    ...(process.getuid?.() === 0 ? ['User www-data', 'Group www-data'] : []),
    ...sites.flatMap((site) => [
      `<VirtualHost 127.0.0.1:${https}>`,
      `  ServerName ${site.name}`,
      '  SSLEngine on',
      `  SSLCertificateFile ${site.certificateFile}`,
      `  SSLCertificateKeyFile ${site.keyFile}`,
      '</VirtualHost>',
    ]),
  ];
  const file = join(directory, 'httpd.conf');
  writeFileSync(file, `${configuration.join('\n')}\n`);
  const daemon = start(t, '/usr/sbin/apache2', ['-f', file, '-DFOREGROUND']);
  ends(daemon);
  await listening(daemon, [http, https]);
  return { http, https, daemon, reload: () => void daemon.child.kill('SIGUSR1') };
}
