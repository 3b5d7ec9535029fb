import { join } from 'node:path';

import type { AcmeIssuerConfig, Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { nearest } from '../config/nearest.ts';
import type { StatePaths } from '../config/state.ts';
import type { ShownAccount } from '../issuers/acme/account-commands.ts';
import type { AccountPlace } from '../issuers/acme/place.ts';
import { minute } from '../platform/dates.ts';
import { PodserveError, describeError } from '../platform/errors.ts';
import { silentLog } from '../platform/log.ts';
import { flag, text, type Arguments, type Command, type Context } from './command.ts';
import { pathsOf, sourceOf } from './settings.ts';

const VERBS = ['show', 'rollover', 'deactivate'] as const;

export const command: Command = {
  summary: 'show, re-key and end the accounts with ACME servers, and their rate limits',
  help: `usage: podserve acme account show|rollover|deactivate [options]
       podserve acme limits [options]

  show        the account with each ACME server, as the server has it now
  rollover    give an account a new key; the old one opens it no more
  deactivate  end an account for good; certificates that it got stay valid
  limits      what of the CAs' rate limits is used and left, and when the next slot is

  --issuer NAME  the issuer (default: show: all; else the only one)
  --yes          deactivate: really do it
  --config FILE  the configuration (default: ./podserve.yaml, then /data/config/podserve.yaml)
  --state DIR    the state directory (default: ./data)
  --json         print the result as JSON

Exit codes: 0 done, 1 a server refused or did not answer, 2 wrong usage or configuration.

  podserve acme account show
  podserve acme account rollover --issuer letsencrypt`,
  options: { issuer: { type: 'string' }, yes: { type: 'boolean' } },
  positionals: true,
  run,
};

async function run(args: Arguments, context: Context): Promise<number> {
  const verb = readVerb(args);
  const config = await loadConfig(sourceOf(args, context));
  if (verb === 'limits') {
    wanted(config, text(args, 'issuer'), 'show');
    return (await import('./acme-limits.ts')).showLimits(args, context, config);
  }
  const issuers = wanted(config, text(args, 'issuer'), verb);
  const work: Work = { args, context, config, paths: pathsOf(args, context) };
  if (verb === 'show') return show(work, issuers);
  const [issuer] = issuers;
  if (issuer === undefined) throw usage('no ACME server is configured', 'let a certificate name one, such as letsencrypt, in its issuers');
  if (verb === 'rollover') return rollover(work, issuer);
  if (!flag(args, 'yes')) {
    throw usage(
      `the account with ${issuer.directory} would be deactivated for good: no server makes it valid again`,
      `podserve acme account deactivate --issuer ${issuer.name} --yes does it`,
    );
  }
  return deactivate(work, issuer);
}

interface Work {
  readonly args: Arguments;
  readonly context: Context;
  readonly config: Config;
  readonly paths: StatePaths;
}

function readVerb({ positionals: [noun, word, ...rest] }: Arguments): (typeof VERBS)[number] | 'limits' {
  if (noun === 'limits' && word === undefined) return 'limits';
  const verb = VERBS.find((one) => one === word);
  if (noun === 'account' && verb !== undefined && rest.length === 0) return verb;
  throw usage('it takes account show, account rollover, account deactivate, or limits', 'podserve acme --help explains them');
}

/** The issuers that are meant: of several, one that is changed has to be named. */
function wanted({ issuers }: Config, name: string | undefined, verb: string): readonly AcmeIssuerConfig[] {
  const known = Object.keys(issuers);
  if (name === undefined) {
    if (verb === 'show' || known.length < 2) return Object.values(issuers);
    throw usage(`there are several issuers with an account: ${known.join(', ')}`, 'say which with --issuer NAME');
  }
  const issuer = issuers[name];
  if (issuer !== undefined) return [issuer];
  const meant = nearest(name, known);
  const instead = known.length === 0 ? 'no certificate names one' : `there are ${known.join(', ')}`;
  throw usage(`no ACME server ${JSON.stringify(name)} is configured`, meant === undefined ? instead : `did you mean ${meant}?`);
}

async function show(work: Work, issuers: readonly AcmeIssuerConfig[]): Promise<number> {
  const looks = await Promise.all(issuers.map((issuer) => look(work, issuer)));
  work.context.signal.throwIfAborted();
  const { args, context } = work;
  if (flag(args, 'json')) context.out(JSON.stringify({ accounts: looks.map(asJson) }, null, 2));
  else for (const line of looks.flatMap(linesOf)) context.out(line);
  for (const { error } of looks) if (error !== undefined) context.err(`podserve acme: ${describeError(error)}`);
  if (issuers.length === 0) context.err('podserve acme: no ACME server is configured: no certificate names one in its issuers');
  return looks.some(({ error, account }) => error !== undefined || (account !== undefined && account.status !== 'valid')) ? 1 : 0;
}

interface Look {
  readonly issuer: AcmeIssuerConfig;
  /** Undefined where there is none, or the server could not be asked. */
  readonly account: ShownAccount | undefined;
  readonly error?: unknown;
}

async function look(work: Work, issuer: AcmeIssuerConfig): Promise<Look> {
  const { showAccount } = await import('../issuers/acme/account-commands.ts');
  try {
    return { issuer, account: await atServer(work, issuer, (place) => showAccount(place, work.context.signal)) };
  } catch (error) {
    return { issuer, account: undefined, error };
  }
}

function linesOf({ issuer, account, error }: Look): string[] {
  const head = `${issuer.name}: ${issuer.directory}`;
  if (error !== undefined) return [head, '  account  unknown: it could not be asked for'];
  if (account === undefined) return [head, '  account  none yet: the first order makes one'];
  const ended = account.status === 'valid' ? '' : `: move ${account.file} away, and the next order makes a new account`;
  return [
    head,
    `  account  ${account.url}`,
    `  status   ${account.status}${ended}`,
    `  contact  ${account.contact.map((url) => url.replace(/^mailto:/, '')).join(', ') || 'none'}`,
    `  key      ${account.keyType}, SHA-256 thumbprint ${account.thumbprint}, since ${minute(account.createdAt)}`,
    `  file     ${account.file}`,
  ];
}

function asJson({ issuer, account, error }: Look): Record<string, unknown> {
  return {
    issuer: issuer.name,
    server: issuer.directory,
    account: account === undefined ? null : accountAsJson(account),
    ...(error === undefined ? {} : { error: errorAsJson(error) }),
  };
}

function accountAsJson({ file, url, status, contact, keyType, thumbprint, createdAt }: ShownAccount): Record<string, unknown> {
  return { url, status, contact, keyType, thumbprint, createdAt: new Date(createdAt).toISOString(), file };
}

function errorAsJson(error: unknown): Record<string, unknown> {
  if (!(error instanceof PodserveError)) return { message: describeError(error) };
  const { code, message, where, why, remedy } = error;
  return { code, message, where, why, remedy };
}

async function rollover(work: Work, issuer: AcmeIssuerConfig): Promise<number> {
  const { args, context } = work;
  const { changeAccountKey } = await import('../issuers/acme/account-commands.ts');
  const account = await atServer(work, issuer, (place) => changeAccountKey(place, context.signal));
  if (flag(args, 'json')) {
    context.out(JSON.stringify({ issuer: issuer.name, server: issuer.directory, account: accountAsJson(account) }, null, 2));
    return 0;
  }
  context.out(`${issuer.name}: the account ${account.url} has a new key; the old one opens it no more`);
  context.out(`  key      ${account.keyType}, SHA-256 thumbprint ${account.thumbprint}`);
  context.out(`  file     ${account.file}`);
  context.out('next: podserve backup FILE, since older backups hold the old key');
  return 0;
}

async function deactivate(work: Work, issuer: AcmeIssuerConfig): Promise<number> {
  const { args, context, config } = work;
  const { deactivateAccount } = await import('../issuers/acme/account-commands.ts');
  const file = await atServer(work, issuer, (place) => deactivateAccount(place, context.signal));
  const users = config.certificates.filter(({ issuers }) => issuers.includes(issuer.name)).map(({ name }) => name);
  if (flag(args, 'json')) {
    context.out(JSON.stringify({ issuer: issuer.name, server: issuer.directory, deactivated: true, file, certificates: users }, null, 2));
    return 0;
  }
  const binding = issuer.eab === undefined ? '' : ', for which most CAs want a new eab.kid and eab.hmacFile';
  context.out(`${issuer.name}: the account with ${issuer.directory} is deactivated; certificates that it got stay valid`);
  context.out(`  file     ${file}: its old key, of no more use`);
  context.out(`next: take ${issuer.name} out of the issuers of ${listed(users)}; otherwise the next order makes a new account${binding}`);
  return 0;
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return 'podserve.yaml';
  return names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
}

async function atServer<T>({ paths, context }: Work, config: AcmeIssuerConfig, act: (place: AccountPlace) => Promise<T>): Promise<T> {
  const { openClient } = await import('../issuers/acme/open-client.ts');
  await using client = await openClient(config);
  return await act({ config, directory: join(paths.acme, config.name), clock: context.clock, log: silentLog, client });
}

function usage(why: string, remedy: string): PodserveError {
  return new PodserveError('USAGE', 'podserve acme was not understood', { why, remedy });
}
