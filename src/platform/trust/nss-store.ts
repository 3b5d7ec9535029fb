import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { PodserveError, describeError } from '../errors.ts';
import { runProgram } from './program.ts';
import { OUR_ROOTS, type Held, type TrustStore } from './store.ts';

export interface NssStoreOptions {
  readonly kind: 'chromium' | 'firefox';
  readonly browser: string;
  /** The directory that holds, or will hold, cert9.db. */
  readonly directory: string;
  /** As `searchPath` gives it. */
  readonly path: string;
}

/** Nickname, then the trust for TLS, e-mail and code: `PodServe local CA 1 3f2a9c01   C,,`. */
const LISTED = /^(\S.*?)\s+([a-zA-Z]*),[a-zA-Z]*,[a-zA-Z]*\s*$/;

/** Trusted to sign for servers, and for nothing else. */
const TRUSTED_CA = 'C,,';

/** An NSS database, through certutil: nothing else writes its format. */
export function nssStore({ kind, browser, directory, path }: NssStoreOptions): TrustStore {
  const label = `${browser} (${directory})`;
  const exists = (): boolean => existsSync(join(directory, 'cert9.db'));

  function certutil(args: readonly string[], input = ''): Promise<string> {
    return runProgram('certutil', ['-d', `sql:${directory}`, ...args], { path, input, debianPackage: 'libnss3-tools' });
  }

  async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw new PodserveError('TRUST_STORE_FAILED', `the roots in ${label} could not be ${what}`, {
        why: describeError(cause),
        ...(exists() ? {} : { remedy: `start ${browser} once as this user, then run this again` }),
        cause,
      });
    }
  }

  return {
    kind,
    label,
    path: directory,
    held: () =>
      attempt('read', async () => {
        if (!exists()) return [];
        const held: Held[] = [];
        for (const line of (await certutil(['-L'])).split('\n')) {
          const [, name, trust] = LISTED.exec(line) ?? [];
          if (name === undefined || !name.includes(OUR_ROOTS)) continue;
          held.push({ name, pem: await certutil(['-L', '-n', name, '-a']), trusted: trust?.includes('C') === true });
        }
        return held;
      }),
    add: (anchors) =>
      attempt('changed', async () => {
        if (!exists()) {
          mkdirSync(directory, { recursive: true, mode: 0o700 });
          await certutil(['-N', '--empty-password']);
        }
        for (const { nickname, pem } of anchors) await certutil(['-A', '-n', nickname, '-t', TRUSTED_CA, '-a'], pem);
      }),
    remove: (held) =>
      attempt('changed', async () => {
        for (const { name } of held) await certutil(['-D', '-n', name]);
      }),
  };
}
