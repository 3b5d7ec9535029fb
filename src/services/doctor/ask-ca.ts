import { get } from 'node:https';
import { join } from 'node:path';

import { openAcmeClient } from '../../acme/open.ts';
import type { DirectoryMeta } from '../../acme/resources.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import type { StatePaths } from '../../config/state.ts';
import { serverOf } from '../../issuers/acme/account.ts';
import { readAccount } from '../../issuers/acme/account-file.ts';
import { externalAccount } from '../../issuers/acme/eab.ts';
import { readRoots } from '../../issuers/acme/roots.ts';
import { SECOND, type Clock } from '../../platform/clock.ts';
import { PodserveError, describeError } from '../../platform/errors.ts';
import { version } from '../../platform/version.ts';
import { troubled, type Check, type Judgement } from './finding.ts';
import { judgeClock, judgeDirectory, judgeExternalAccount, judgeProfile, judgeUnanswered } from './judge-ca.ts';

/** What a CA and the account here say about each other. */
export interface CaFacts {
  /** Undefined where the directory did not answer. */
  readonly meta: DirectoryMeta | undefined;
  /** The account that orders will use, without URL where it is still to be made; undefined where it cannot be seen. */
  readonly account: { readonly url: string | undefined } | undefined;
  readonly judgements: readonly (Judgement & { readonly check: Check })[];
}

const TIMEOUT = 8 * SECOND;

/** Where orders go to: a rehearsal is for another server than the configured one. */
export function directoryOf({ directory, rehearse }: Pick<AcmeIssuerConfig, 'directory' | 'rehearse'>): string {
  return rehearse ?? directory;
}

/** @throws the signal's reason, and nothing else */
export async function askCa(issuer: AcmeIssuerConfig, paths: StatePaths, clock: Clock, signal: AbortSignal): Promise<CaFacts> {
  const account = accountOf(issuer, paths);
  const judgements: (Judgement & { check: Check })[] = [];
  const add = (check: Check, judgement: Judgement | undefined): void => void (judgement && judgements.push({ check, ...judgement }));
  if ('trouble' in account) add('account', troubled(account.trouble));
  const seen = 'trouble' in account ? undefined : account;
  let ca: string | undefined;
  try {
    ca = readRoots(issuer);
  } catch (error) {
    if (!(error instanceof PodserveError)) throw error;
    add('directory', troubled(error));
    return { meta: undefined, account: seen, judgements };
  }
  const server = directoryOf(issuer);
  const [directory, offset] = await Promise.all([metaOf(server, ca, signal), clockOf(server, clock, signal)]);
  signal.throwIfAborted();
  if (offset !== undefined) add('clock', judgeClock(offset.server, offset.now));
  if ('error' in directory) {
    add('directory', judgeUnanswered(directory.error, server, issuer));
    return { meta: undefined, account: seen, judgements };
  }
  const { meta } = directory;
  add('directory', judgeDirectory(server));
  add('profile', judgeProfile(meta, issuer.profile));
  add('external-account', judgeExternalAccount(meta, issuer, { present: seen?.url !== undefined, hmacTrouble: hmacTrouble(issuer) }));
  return { meta, account: seen, judgements };
}

function accountOf(
  issuer: AcmeIssuerConfig,
  paths: StatePaths,
): { readonly url: string | undefined } | { readonly trouble: PodserveError } {
  const rehearsed = issuer.rehearse !== undefined;
  try {
    return {
      url: readAccount(
        join(paths.acme, rehearsed ? `.rehearsal-${issuer.name}` : issuer.name),
        serverOf({ ...issuer, directory: directoryOf(issuer) }),
      )?.url,
    };
  } catch (error) {
    if (error instanceof PodserveError) return { trouble: error };
    throw error;
  }
}

function hmacTrouble(issuer: AcmeIssuerConfig): string | undefined {
  try {
    externalAccount(issuer);
    return undefined;
  } catch (error) {
    return error instanceof PodserveError ? (error.why ?? error.message) : describeError(error);
  }
}

async function metaOf(
  directory: string,
  ca: string | undefined,
  signal: AbortSignal,
): Promise<{ readonly meta: DirectoryMeta } | { readonly error: unknown }> {
  try {
    const options = { directory, userAgent: userAgent(), timeoutMs: TIMEOUT };
    await using client = openAcmeClient(ca === undefined ? options : { ...options, ca });
    return { meta: (await client.directory(signal)).meta };
  } catch (error) {
    return { error };
  }
}

/**
 * The server's Date, whatever else it answers; undefined without one. Its certificate is not judged here: a clock that
 * is wrong is a reason why it would be refused.
 */
async function clockOf(
  directory: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<{ readonly server: number; readonly now: number } | undefined> {
  const { promise, resolve } = Promise.withResolvers<{ server: number; now: number } | undefined>();
  const within = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]);
  const before = clock.now();
  const asking = get(
    directory,
    { agent: false, rejectUnauthorized: false, headers: { 'user-agent': userAgent() }, signal: within },
    (response) => {
      const server = Date.parse(response.headers.date ?? '');
      response.destroy();
      resolve(Number.isNaN(server) ? undefined : { server, now: (before + clock.now()) / 2 });
    },
  );
  asking.on('error', () => resolve(undefined));
  return promise;
}

function userAgent(): string {
  return `podserve/${version()} (doctor)`;
}
