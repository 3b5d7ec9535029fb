import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { run, start, type Running } from '../command.ts';
import { freePort, scratchDirectory } from '../scratch.ts';
import { listening, stopAtEnd } from './ready.ts';

/** A key as `tsig-keygen` made it, and where. */
export interface MadeKey {
  readonly name: string;
  readonly file: string;
  readonly text: string;
}

export async function tsigKey(t: Pick<TestContext, 'after'>, name: string, algorithm = 'hmac-sha256'): Promise<MadeKey> {
  const { code, stdout, stderr } = await run('/usr/sbin/tsig-keygen', ['-a', algorithm, name]);
  if (code !== 0) throw new Error(stderr);
  const file = join(scratchDirectory(t), 'tsig.key');
  writeFileSync(file, stdout, { mode: 0o600 });
  return { name, file, text: stdout };
}

export interface ServedZone {
  readonly name: string;
  /** Lines of the zone file beside SOA, NS (`ns`, unless there is one) and the address of `ns`. */
  readonly records?: readonly string[];
  /** Statements of the zone in named.conf: who may update it, whom it tells of changes. */
  readonly statements?: string;
  /** `address port number` of the primary: this server is a secondary, and asks for changes when it is told to. */
  readonly primary?: string;
  /** Port of a server on 127.0.0.1 that is asked: this server is a resolver for the zone. */
  readonly forwardTo?: number;
  /** For the root alone: address of its server, which this resolver starts from. */
  readonly hint?: string;
}

export interface NameServerOptions {
  readonly zones: readonly ServedZone[];
  readonly keys?: readonly MadeKey[];
  /** Default: 127.0.0.1 and a free port. */
  readonly address?: string;
  readonly port?: number;
}

export interface RunningNameServer {
  /** `host:port` */
  readonly server: string;
  readonly port: number;
  readonly daemon: Running;
  /** What dig prints with +short, one record each, sorted. */
  dig(name: string, type: string): Promise<string[]>;
  rndc(...args: readonly string[]): Promise<void>;
}

const RNDC_SECRET = 'cG9kc2VydmUtdGVzdC1ybmRjLWtleS0wMTIzNDU2Nzg5';

/** BIND (package bind9) in the foreground, as primary, secondary or resolver of any zones. */
export async function startNameServer(t: Pick<TestContext, 'after'>, options: NameServerOptions): Promise<RunningNameServer> {
  const { zones, keys = [], address = '127.0.0.1' } = options;
  const ends = stopAtEnd(t);
  const directory = scratchDirectory(t);
  const [port, control] = [options.port ?? (await freePort()), await freePort()];
  mkdirSync(join(directory, 'zones'));
  for (const zone of zones) writeFileSync(join(directory, 'zones', fileOf(zone)), zoneFile(zone));
  const controlKey = `key rndc { algorithm hmac-sha256; secret "${RNDC_SECRET}"; };`;
  writeFileSync(
    join(directory, 'rndc.conf'),
    `${controlKey}\noptions { default-key rndc; default-server 127.0.0.1; default-port ${control}; };\n`,
  );
  const isResolver = zones.some(({ forwardTo, hint }) => forwardTo !== undefined || hint !== undefined);
  const lines = [
    controlKey,
    `controls { inet 127.0.0.1 port ${control} allow { 127.0.0.1; } keys { rndc; }; };`,
    ...keys.map(({ text }) => text),
    'options {',
    `  directory "${directory}"; pid-file none; session-keyfile none; listen-on-v6 { none; };`,
    `  listen-on port ${port} { ${address}; }; recursion ${isResolver ? 'yes' : 'no'}; dnssec-validation no; empty-zones-enable no;`,
    '  max-ncache-ttl 0; max-cache-ttl 0; notify explicit; request-ixfr no;',
    '};',
    ...zones.map((zone) => statementOf(zone)),
    '',
  ];
  writeFileSync(join(directory, 'named.conf'), lines.join('\n'));
  const daemon = start(t, '/usr/sbin/named', ['-g', '-n', '1', '-c', join(directory, 'named.conf')]);
  ends(daemon);
  await daemon.says(/\brunning\b/);
  await listening(daemon, [control]);
  const dig = digger(address, port);
  for (const { name, primary } of zones) if (primary !== undefined) while ((await dig(name, 'SOA')).length === 0) await sleep(50);
  return {
    server: `${address}:${port}`,
    port,
    daemon,
    dig,
    async rndc(...args) {
      const { code, stderr } = await run('/usr/sbin/rndc', ['-c', join(directory, 'rndc.conf'), ...args]);
      if (code !== 0) throw new Error(`rndc ${args.join(' ')}: ${stderr}`);
    },
  };
}

function fileOf({ name }: ServedZone): string {
  return name === '.' ? 'root' : name;
}

export function digger(address: string, port: number): RunningNameServer['dig'] {
  return async (name, type) => {
    const { stdout } = await run('/usr/bin/dig', [`@${address}`, '-p', String(port), '+short', '+tries=1', '+time=3', name, type]);
    return stdout
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .sort();
  };
}

function statementOf(zone: ServedZone): string {
  const { name, statements = '', primary, forwardTo, hint } = zone;
  if (hint !== undefined) return `zone "." { type hint; file "zones/${fileOf(zone)}"; };`;
  if (forwardTo !== undefined) return `zone "${name}" { type forward; forward only; forwarders { 127.0.0.1 port ${forwardTo}; }; };`;
  const file = `file "zones/${fileOf(zone)}";`;
  if (primary === undefined) return `zone "${name}" { type primary; ${file} ${statements} };`;
  return `zone "${name}" { type secondary; file "zones/${name}.copy"; primaries { ${primary}; }; ${statements} };`;
}

function zoneFile({ records = [], hint }: ServedZone): string {
  if (hint !== undefined) return `. 3600 NS ns.root.test.\nns.root.test. 3600 A ${hint}\n`;
  const nameServers = records.some((line) => /^@\s+(IN\s+)?NS\s/.test(line)) ? [] : ['@ NS ns', 'ns A 127.0.0.1'];
  return ['$TTL 60', '@ SOA ns hostmaster 1 3600 60 86400 60', ...nameServers, ...records, ''].join('\n');
}

/** The statement that lets a key change the challenge records of one name, and nothing else, as docs/challenges.md has it. */
export function grant(key: MadeKey, ...names: readonly string[]): string {
  return `update-policy { ${names.map((name) => `grant ${key.name} name ${name}. TXT;`).join(' ')} };`;
}

/** The secret in a key file, for tests that look for leaks. */
export function secretOf(file: string): string {
  return /secret "([^"]+)"/.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
}
