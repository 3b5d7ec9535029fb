import { join } from 'node:path';

import { jwkThumbprint } from '../../acme/jwk.ts';
import type { Config } from '../../config/config.ts';
import { WELL_KNOWN } from '../../config/well-known.ts';
import type { StatePaths } from '../../config/state.ts';
import { readAccount } from '../../issuers/acme/account-file.ts';
import { adoptAccount } from '../../issuers/acme/adopt.ts';
import { PodserveError, describeError } from '../../platform/errors.ts';
import { readCertbotAccounts, type AccountContent, type CertbotAccount } from './certbot-accounts.ts';

export interface ImportAccountsOptions {
  /** Such as `/etc/letsencrypt`. */
  readonly directory: string;
  readonly config: Config;
  readonly paths: StatePaths;
  /** ms since the epoch */
  readonly now: number;
  /** Say what would be done. */
  readonly dryRun: boolean;
}

/** What became of one account at one issuer. */
export interface ImportedAccount {
  /** Host and path of the ACME server's directory. */
  readonly server: string;
  /** certbot's name for it. */
  readonly account: string;
  /** The issuer that orders with it now; undefined when it goes nowhere. */
  readonly issuer: string | undefined;
  /** Its URL at the server; undefined for one that cannot be read. */
  readonly url: string | undefined;
  readonly outcome: 'imported' | 'planned' | 'unchanged' | 'kept' | 'skipped' | 'failed';
  /** One line: what is so, and why. */
  readonly detail: string;
}

interface Issuer {
  readonly name: string;
  readonly directory: string;
}

/**
 * Makes certbot's accounts those of the issuers with the same directory URL, so that rate limits, validations and CAA
 * records that name the account go on to count. One that an issuer has already is never replaced.
 * @throws PodserveError IMPORT_FAILED when the accounts may not be read
 */
export async function importAccounts(options: ImportAccountsOptions): Promise<ImportedAccount[]> {
  const results: ImportedAccount[] = [];
  for (const [server, accounts] of Map.groupBy(readCertbotAccounts(options.directory), (account) => account.server)) {
    const readable = accounts.filter(({ content }) => 'key' in content);
    const [chosen] = readable;
    for (const account of accounts) {
      if ('trouble' in account.content) results.push(result(account, undefined, 'failed', account.content.trouble));
      else if (account !== chosen) results.push(result(account, undefined, 'skipped', whyNot(account, chosen)));
    }
    if (chosen === undefined || 'trouble' in chosen.content) continue;
    const issuers = issuersFor(server, options.config);
    if (issuers.length === 0)
      results.push(result(chosen, undefined, 'skipped', `no issuer has the directory https://${server}: configure one, and import again`));
    for (const issuer of issuers) results.push(await take(options, chosen, chosen.content, issuer));
  }
  return results;
}

/** The configured ones; for a well-known server that nobody uses yet, the name that it will be used by. */
export function issuersFor(server: string, config: Config): Issuer[] {
  const configured = Object.values(config.issuers).map(({ name, directory }) => ({ name, directory }));
  const wellKnown = Object.entries(WELL_KNOWN)
    .filter(([name]) => !Object.hasOwn(config.issuers, name))
    .map(([name, directory]) => ({ name, directory }));
  const own = configured.filter(({ directory }) => serverPath(directory) === server);
  return own.length > 0 ? own : wellKnown.filter(({ directory }) => serverPath(directory) === server);
}

/** As certbot names the directories of its accounts. */
export function serverPath(directory: string): string {
  const { host, pathname } = new URL(directory);
  return `${host}${pathname}`.replace(/\/$/, '');
}

async function take(
  { paths, now, dryRun }: ImportAccountsOptions,
  account: CertbotAccount,
  { key, url, contact }: AccountContent,
  { name, directory }: Issuer,
): Promise<ImportedAccount> {
  const place = join(paths.acme, name);
  try {
    const present = readAccount(place, new URL(directory).href);
    if (present !== undefined && jwkThumbprint(present.key) !== jwkThumbprint(key)) {
      return result(account, name, 'kept', `${name} has the account ${present.url ?? 'of a key of its own'} already, which stays`);
    }
    if (present?.url === url) return result(account, name, 'unchanged', `${name} has this account already`);
    if (dryRun) return result(account, name, 'planned', `it would become the account of ${name}`);
    const { account: stored, adopted } = await adoptAccount(place, { directoryUrl: directory, key, url, contact }, now);
    if (!adopted)
      return result(account, name, 'kept', `${name} has got the account ${stored.url ?? 'of a key of its own'} meanwhile, which stays`);
    return result(account, name, 'imported', `it is the account of ${name} now`);
  } catch (error) {
    if (error instanceof PodserveError) return result(account, name, 'failed', describeError(error));
    throw error;
  }
}

function whyNot({ uses }: CertbotAccount, chosen: CertbotAccount | undefined): string {
  const other = `${chosen?.id} is taken`;
  if ((chosen?.uses ?? 0) === uses) return `${other}: it is newer`;
  return `${other}: ${chosen?.uses} ${chosen?.uses === 1 ? 'lineage is' : 'lineages are'} renewed with it, ${uses} with this one`;
}

function result(account: CertbotAccount, issuer: string | undefined, outcome: ImportedAccount['outcome'], detail: string): ImportedAccount {
  const url = 'url' in account.content ? account.content.url : undefined;
  return { server: account.server, account: account.id, issuer, url, outcome, detail };
}
