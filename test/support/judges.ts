import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from './command.ts';
import { unpackedDebianPackage } from './debian-packages.ts';

/** What a tool thinks of a certificate: `ok`, or its complaint. */
export type Verdict = string;

/** `openssl verify -x509_strict` with that root alone. */
export async function opensslStrict(root: string, leaf: string, ...options: readonly string[]): Promise<Verdict> {
  const { code, stdout, stderr } = await run('openssl', [
    'verify',
    '-x509_strict',
    '-no-CApath',
    '-no-CAstore',
    '-CAfile',
    root,
    ...options,
    leaf,
  ]);
  return code === 0 && stdout.endsWith(': OK\n') ? 'ok' : stderr + stdout;
}

/** `certtool --verify` of GnuTLS with that root alone. */
export async function gnutls(root: string, leaf: string): Promise<Verdict> {
  const { code, stdout, stderr } = await run('certtool', ['--verify', '--load-ca-certificate', root, '--infile', leaf]);
  return code === 0 && stdout.includes('Chain verification output: Verified.') ? 'ok' : stderr + stdout;
}

/** A new NSS database below `home`, where Chromium looks for it, with one certificate in it. */
export async function nssDatabase(home: string, certificate: string, trust: 'C,,' | 'P,,'): Promise<string> {
  const directory = join(home, '.pki', 'nssdb');
  await succeed('mkdir', ['-p', directory]);
  await succeed('certutil', ['-N', '--empty-password', '-d', `sql:${directory}`]);
  await succeed('certutil', ['-A', '-d', `sql:${directory}`, '-n', 'under test', '-t', trust, '-i', certificate]);
  return directory;
}

/** NSS judges the certificate as a server's, with both of its path builders. */
export async function nss(database: string, leaf: string): Promise<Verdict> {
  for (const builder of [[], ['-pp']]) {
    const { code, stdout, stderr } = await run('vfychain', ['-d', `sql:${database}`, ...builder, '-u', '1', '-a', leaf]);
    if (code !== 0 || !(stdout + stderr).includes('Chain is good!')) return stderr + stdout;
  }
  return 'ok';
}

/** What zlint finds: the names of the lints that warn, fail or could not run, for each file. */
export async function zlint(files: readonly string[]): Promise<string[][]> {
  const directory = await unpackedDebianPackage('zlint', 'trixie');
  const output = await succeed(join(directory, 'usr/bin/zlint'), files);
  const reports = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, { result: string }>);
  return reports.map((report) =>
    Object.entries(report)
      .filter(([, { result }]) => ['warn', 'error', 'fatal'].includes(result))
      .map(([lint]) => lint),
  );
}

/** Writes PEM text and gives the path. */
export function pemFile(directory: string, name: string, pem: string): string {
  const path = join(directory, `${name}.pem`);
  writeFileSync(path, pem);
  return path;
}

async function succeed(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}
