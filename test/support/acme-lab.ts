import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import type { Generation } from '../../src/publication/read.ts';
import { readCurrent } from '../../src/publication/read.ts';
import { openLedgerToRead } from '../../src/ledger/open.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { podserve, run, type Finished, type RunOptions } from './command.ts';
import type { Pebble } from './daemons/pebble.ts';
import { scratchDirectory } from './scratch.ts';

export interface LabOptions {
  /** Fields of the issuer `pebble`; its challenge is http-01 by an own listener where Pebble looks, unless another is given. */
  readonly issuer?: Readonly<Record<string, unknown>>;
  /** Fields of the certificate `default`. Its names are `a.lab.test` unless others are given. */
  readonly certificate?: Readonly<Record<string, unknown>>;
  /** Further top-level keys of podserve.yaml. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** A state directory that is copied first. */
  readonly copyOf?: string;
  /** A state directory to use as it is. */
  readonly state?: string;
}

/** One machine that gets its certificate from Pebble: a podserve.yaml, a state directory, and the commands on them. */
export interface AcmeLab {
  readonly cwd: string;
  readonly state: string;
  readonly publication: string;
  /** Writes podserve.yaml anew. */
  configure(options: LabOptions): void;
  /** `podserve certificates --mode MODE ARGS` to its end. */
  certificates(mode: string, args?: readonly string[], options?: RunOptions): Promise<Finished>;
  /** The words after `podserve` of the same. */
  args(mode: string, ...more: readonly string[]): string[];
  current(name?: string): Promise<Generation | undefined>;
  /** Reads from the ledger as it is now. */
  ledger<T>(read: (ledger: Ledger) => T): T;
  /** Files of orders under way. */
  ordersUnderWay(): string[];
}

/** @param server Pebble, or a proxy before it */
export async function acmeLab(
  t: Pick<TestContext, 'after'>,
  pebble: Pick<Pebble, 'httpPort' | 'dns'>,
  server: { readonly directory: string; readonly caFile: string },
  options: LabOptions = {},
): Promise<AcmeLab> {
  const cwd = scratchDirectory(t);
  const state = options.state ?? join(cwd, 'data');
  if (options.copyOf !== undefined) {
    const { code, stderr } = await run('cp', ['-a', options.copyOf, state]);
    if (code !== 0) throw new Error(stderr);
  }
  const args: AcmeLab['args'] = (mode, ...more) => ['certificates', '--mode', mode, '--state', state, ...more];
  const configure: AcmeLab['configure'] = ({ issuer = {}, certificate = {}, config = {} }) => {
    const challenge = 'challenge' in issuer ? {} : { challenge: 'http-01', http01: { listen: `127.0.0.1:${pebble.httpPort}` } };
    const document = {
      resolvers: [pebble.dns.dnsAddress],
      issuers: { pebble: { directory: server.directory, caFile: server.caFile, ...challenge, ...issuer } },
      certificates: [{ name: 'default', names: ['a.lab.test'], issuers: ['pebble'], ...certificate }],
      ...config,
    };
    writeFileSync(join(cwd, 'podserve.yaml'), JSON.stringify(document, undefined, 2));
  };
  configure(options);
  return {
    cwd,
    state,
    publication: join(state, 'certificates'),
    configure,
    args,
    certificates: (mode, more = [], given = {}) => podserve(args(mode, ...more), { cwd, ...given }),
    current: (name = 'default') => readCurrent(join(state, 'certificates'), name),
    ledger(read) {
      const { ledger } = openLedgerToRead(join(state, 'authority/ledger.sqlite'));
      try {
        return read(ledger);
      } finally {
        ledger.close();
      }
    },
    ordersUnderWay() {
      const directory = join(state, 'authority/acme/pebble/orders');
      return existsSync(directory) ? readdirSync(directory) : [];
    },
  };
}
