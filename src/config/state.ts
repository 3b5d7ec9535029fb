import { resolve } from 'node:path';

/** Where everything that outlives a process is kept (DESIGN §4). Absolute paths. */
export interface StatePaths {
  readonly state: string;
  /** The publication: shared with consumers. */
  readonly certificates: string;
  /** Keys of the built-in CA and the ledger: never shared. */
  readonly authority: string;
  readonly localCa: string;
  /** Accounts and orders under way, one directory per ACME issuer. */
  readonly acme: string;
  readonly ledger: string;
  readonly challenges: string;
  /** Accounts, mailboxes, queue and keys of the mail service. */
  readonly mail: string;
}

export function statePaths(directory: string, cwd: string): StatePaths {
  const state = resolve(cwd, directory);
  const authority = resolve(state, 'authority');
  return {
    state,
    certificates: resolve(state, 'certificates'),
    authority,
    localCa: resolve(authority, 'local-ca'),
    acme: resolve(authority, 'acme'),
    ledger: resolve(authority, 'ledger.sqlite'),
    challenges: resolve(state, 'challenges'),
    mail: resolve(state, 'mail'),
  };
}
