import { chmodSync, chownSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { run, start, type Finished, type Running } from '../command.ts';
import { freePort, scratchDirectory } from '../scratch.ts';
import { listening, stopAtEnd } from './ready.ts';

export interface Named {
  readonly dns: number;
  readonly dot: number;
  readonly daemon: Running;
  /** `rndc reload` */
  reload(): Promise<Finished>;
  /** Puts other files where named reads them; a reload is needed to serve them. */
  install(certificateFile: string, keyFile: string): void;
}

const RNDC_SECRET = 'cG9kc2VydmUtdGVzdC1ybmRjLWtleS0wMTIzNDU2Nzg5';

/** BIND in the foreground (package bind9) with one zone, `lab.test`, and DNS over TLS. */
export async function startNamed(t: Pick<TestContext, 'after'>, certificateFile: string, keyFile: string): Promise<Named> {
  const ends = stopAtEnd(t);
  const directory = scratchDirectory(t);
  const [dns, dot, control] = await Promise.all([freePort(), freePort(), freePort()]);
  const install: Named['install'] = (certificate, key) => {
    copyFileSync(certificate, join(directory, 'cert.pem'));
    copyFileSync(key, join(directory, 'key.pem'));
    chmodSync(join(directory, 'key.pem'), 0o600);
  };
  install(certificateFile, keyFile);
  mkdirSync(join(directory, 'cache'));
  const key = `key rndc { algorithm hmac-sha256; secret "${RNDC_SECRET}"; };`;
  writeFileSync(join(directory, 'lab.zone'), '$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n');
  writeFileSync(
    join(directory, 'rndc.conf'),
    `${key}\noptions { default-key rndc; default-server 127.0.0.1; default-port ${control}; };\n`,
  );
  writeFileSync(
    join(directory, 'named.conf'),
    [
      key,
      `controls { inet 127.0.0.1 port ${control} allow { 127.0.0.1; } keys { rndc; }; };`,
      `tls served { cert-file "${directory}/cert.pem"; key-file "${directory}/key.pem"; };`,
      'options {',
      `  directory "${directory}/cache"; pid-file none; session-keyfile none;`,
      '  recursion no; dnssec-validation no; notify no; listen-on-v6 { none; };',
      `  listen-on port ${dns} { 127.0.0.1; };`,
      `  listen-on port ${dot} tls served { 127.0.0.1; };`,
      '};',
      `zone "lab.test" { type primary; file "${directory}/lab.zone"; };`,
      '',
    ].join('\n'),
  );
  // Everything is for the caller alone; named keeps the caller's user, so it can read it.
  if (process.getuid?.() === 0) chownSync(directory, 0, 0);
  const daemon = start(t, '/usr/sbin/named', ['-g', '-n', '1', '-c', join(directory, 'named.conf')]);
  ends(daemon);
  await listening(daemon, [dns, dot]);
  return { dns, dot, daemon, install, reload: () => run('/usr/sbin/rndc', ['-c', join(directory, 'rndc.conf'), 'reload']) };
}
