import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from './command.ts';
import { fakeDate } from './fake-time.ts';

/** Files of a certificate that OpenSSL made: a judge that shares no code with ours. */
export interface MadeCertificate {
  readonly keyFile: string;
  readonly certificateFile: string;
  readonly chainFile: string;
  /** Leaf and chain. */
  readonly fullchainFile: string;
  /** Key, leaf and chain. */
  readonly combinedFile: string;
}

interface LeafOptions {
  /** DNS names and addresses. */
  readonly names: readonly string[];
  /** A date that date(1) reads, at which it is issued. Default: now. */
  readonly at?: string;
  readonly days?: number;
}

export interface OpensslCa {
  readonly rootFile: string;
  /** Issues below an intermediate; each call makes a new key. */
  leaf(label: string, options: LeafOptions): Promise<MadeCertificate>;
}

/** A root and an intermediate in `directory`, valid from 2000 on so that their leaves may be of any date. */
export async function opensslCa(directory: string, commonName = 'Test Root'): Promise<OpensslCa> {
  mkdirSync(directory, { recursive: true });
  const path = (name: string): string => join(directory, name);
  const key = (name: string): Promise<void> =>
    openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', path(`${name}.key`)]);
  await Promise.all([key('root'), key('intermediate')]);
  const long = ['-days', '18000'];
  const request = ['-new', '-key', path('root.key'), '-subj', `/CN=${commonName}`];
  const root = ['req', '-x509', ...request, ...long, '-out', path('root.pem'), '-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
  await openssl(root, '2000-01-01');
  await sign(
    'intermediate',
    'root',
    `${commonName} Intermediate`,
    'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n',
  );

  async function sign(name: string, issuer: string, subject: string, extensions: string, at = '2000-01-01', days = 18_000): Promise<void> {
    writeFileSync(path(`${name}.ext`), extensions);
    await openssl(['req', '-new', '-key', path(`${name}.key`), '-subj', `/CN=${subject}`, '-out', path(`${name}.csr`)]);
    const authority = ['-CA', path(`${issuer}.pem`), '-CAkey', path(`${issuer}.key`), '-set_serial', `0x4${hex(15)}`];
    const output = ['-days', String(days), '-extfile', path(`${name}.ext`), '-out', path(`${name}.pem`)];
    await openssl(['x509', '-req', '-in', path(`${name}.csr`), ...authority, ...output], at);
  }

  return {
    rootFile: path('root.pem'),
    async leaf(label, { names, at, days = 30 }) {
      const alternative = names.map((name) => (/^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(',');
      await key(label);
      const extensions = `basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=${alternative}\n`;
      await sign(label, 'intermediate', names[0] ?? label, extensions, at ?? '1 hour ago', days);
      const text = (name: string): string => readFileSync(path(name), 'utf8');
      const files = {
        keyFile: path(`${label}.key`),
        certificateFile: path(`${label}.pem`),
        chainFile: path('intermediate.pem'),
        fullchainFile: path(`${label}.fullchain.pem`),
        combinedFile: path(`${label}.combined.pem`),
      };
      const fullchain = text(`${label}.pem`) + text('intermediate.pem');
      writeFileSync(files.fullchainFile, fullchain);
      writeFileSync(files.combinedFile, text(`${label}.key`) + fullchain);
      return files;
    },
  };
}

function hex(bytes: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');
}

async function openssl(args: readonly string[], at?: string): Promise<void> {
  const { code, stderr } = await run('openssl', args, at === undefined ? {} : { env: fakeDate(at) });
  if (code !== 0) throw new Error(`openssl ${args.join(' ')} failed:\n${stderr}`);
}
