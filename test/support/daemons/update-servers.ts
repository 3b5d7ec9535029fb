import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';

import { run, start } from '../command.ts';
import { freePort, scratchDirectory } from '../scratch.ts';
import { digger, secretOf, type MadeKey } from './name-server.ts';
import { listening, stopAtEnd } from './ready.ts';

export interface UpdatedServer {
  /** `host:port` */
  readonly server: string;
  /** What dig prints with +short, one record each, sorted. */
  dig(name: string, type: string): Promise<string[]>;
}

/** Knot DNS (package knot) with a zone that the key may change the TXT records of, as docs/challenges.md has it. */
export async function startKnot(t: Pick<TestContext, 'after'>, zone: string, key: MadeKey): Promise<UpdatedServer> {
  const ends = stopAtEnd(t);
  const directory = scratchDirectory(t);
  const port = await freePort();
  mkdirSync(join(directory, 'zones'));
  writeFileSync(join(directory, 'zones', `${zone}.zone`), '$TTL 60\n@ SOA ns hostmaster 1 3600 60 86400 60\n@ NS ns\nns A 127.0.0.1\n');
  const configuration = join(directory, 'knot.conf');
  writeFileSync(
    configuration,
    `server:
  listen: 127.0.0.1@${port}
  rundir: ${directory}
database:
  storage: ${directory}
key:
  - id: ${key.name}
    algorithm: hmac-sha256
    secret: ${secretOf(key.file)}
acl:
  - id: podserve
    key: ${key.name}
    action: update
    update-type: TXT
    update-owner: name
    update-owner-match: equal
    update-owner-name: [_acme-challenge, _acme-challenge.www]
zone:
  - domain: ${zone}
    storage: ${directory}/zones
    file: ${zone}.zone
    acl: podserve
`,
  );
  const daemon = start(t, '/usr/sbin/knotd', ['-c', configuration]);
  ends(daemon);
  await listening(daemon, [port]);
  return { server: `127.0.0.1:${port}`, dig: digger('127.0.0.1', port) };
}

const SCHEMA = '/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql';

/** PowerDNS (packages pdns-server, pdns-backend-sqlite3) with a zone that the key may update, as docs/challenges.md has it. */
export async function startPowerDns(t: Pick<TestContext, 'after'>, zone: string, key: MadeKey): Promise<UpdatedServer> {
  const ends = stopAtEnd(t);
  const directory = scratchDirectory(t);
  const port = await freePort();
  const configuration = [
    'launch=gsqlite3',
    `gsqlite3-database=${directory}/pdns.sqlite`,
    `local-address=127.0.0.1`,
    `local-port=${port}`,
    `socket-dir=${directory}`,
    'dnsupdate=yes',
    'allow-dnsupdate-from=127.0.0.0/8',
    'zone-cache-refresh-interval=0',
    'cache-ttl=0',
    'query-cache-ttl=0',
    'negquery-cache-ttl=0',
    '',
  ];
  writeFileSync(join(directory, 'pdns.conf'), configuration.join('\n'));
  const database = new DatabaseSync(join(directory, 'pdns.sqlite'));
  database.exec(readFileSync(SCHEMA, 'utf8'));
  database.close();
  const util = async (...args: readonly string[]): Promise<void> => {
    const { code, stdout, stderr } = await run('/usr/bin/pdnsutil', [`--config-dir=${directory}`, ...args]);
    if (code !== 0) throw new Error(`pdnsutil ${args.join(' ')}: ${stdout}${stderr}`);
  };
  await util('create-zone', zone, `ns.${zone}`);
  await util('import-tsig-key', key.name, 'hmac-sha256', secretOf(key.file));
  await util('set-meta', zone, 'TSIG-ALLOW-DNSUPDATE', key.name);
  const daemon = start(t, '/usr/sbin/pdns_server', [`--config-dir=${directory}`, '--guardian=no', '--daemon=no', '--disable-syslog']);
  ends(daemon);
  await listening(daemon, [port]);
  return { server: `127.0.0.1:${port}`, dig: digger('127.0.0.1', port) };
}
