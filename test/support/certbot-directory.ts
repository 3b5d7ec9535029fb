import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { MadeCertificate } from './openssl-ca.ts';

export interface CertbotDirectory {
  readonly path: string;
  /** Adds a lineage, or its next version, as certbot does: files in archive/, links in live/. @param server '' for none */
  add(name: string, made: MadeCertificate, server?: string): void;
}

/** A directory as certbot keeps it in /etc/letsencrypt, modes included; `certbot certificates` understands it. */
export function certbotDirectory(path: string): CertbotDirectory {
  for (const name of ['archive', 'live', 'renewal']) mkdirSync(join(path, name), { recursive: true, mode: 0o700 });
  writeFileSync(join(path, 'live', 'README'), 'This directory contains your keys and certificates.\n');
  const versions = new Map<string, number>();
  return {
    path,
    add(name, made, server = 'https://ca.other.test/directory') {
      const version = (versions.get(name) ?? 0) + 1;
      versions.set(name, version);
      for (const part of ['archive', 'live']) mkdirSync(join(path, part, name), { recursive: true, mode: 0o755 });
      const sources = { privkey: made.keyFile, cert: made.certificateFile, chain: made.chainFile, fullchain: made.fullchainFile };
      for (const [file, source] of Object.entries(sources)) {
        copyFileSync(source, join(path, 'archive', name, `${file}${version}.pem`));
        rmSync(join(path, 'live', name, `${file}.pem`), { force: true });
        symlinkSync(`../../archive/${name}/${file}${version}.pem`, join(path, 'live', name, `${file}.pem`));
      }
      writeFileSync(join(path, 'renewal', `${name}.conf`), renewalConfiguration(path, name, server));
    },
  };
}

function renewalConfiguration(path: string, name: string, server: string): string {
  const files = ['cert', 'privkey', 'chain', 'fullchain'].map((file) => `${file} = ${path}/live/${name}/${file}.pem`);
  const renewal = ['[renewalparams]', 'authenticator = webroot', ...(server === '' ? [] : [`server = ${server}`])];
  return ['version = 2.1.0', `archive_dir = ${path}/archive/${name}`, ...files, ...renewal, ''].join('\n');
}

/** Cuts a PEM file in its middle. */
export function truncate(file: string): void {
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.slice(0, text.length / 2));
}
