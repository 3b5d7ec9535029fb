import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { loadConfig } from '../config/load.ts';
import { parseSize } from '../config/mail.ts';
import type { StatePaths } from '../config/state.ts';
import { PodserveError, messageOf } from '../platform/errors.ts';
import { readAccounts } from '../services/mail/accounts.ts';
import {
  anyAddress,
  changeAccounts,
  deleteMailbox,
  mailboxOf,
  ownAddress,
  withAccount,
  withAlias,
  withPassword,
  withoutAccount,
  withoutAlias,
} from '../services/mail/change.ts';
import { hashPassword } from '../services/mail/password.ts';
import { flag, many, text, type Arguments, type Context } from './command.ts';
import { askTwice } from './password-prompt.ts';
import { pathsOf, sourceOf } from './settings.ts';

const SHORTEST_PASSWORD = 8;

interface Work {
  readonly args: Arguments;
  readonly context: Context;
  readonly paths: StatePaths;
  readonly domains: readonly string[];
}

/** `podserve mail user …` and `podserve mail alias …` */
export async function changeMailAccounts(args: Arguments, context: Context): Promise<number> {
  const { mail } = await loadConfig(sourceOf(args, context));
  const work: Work = { args, context, paths: pathsOf(args, context), domains: mail.domains };
  const [noun = '', verb = '', ...words] = args.positionals;
  const [address, ...rest] = words;
  const known = ACTIONS[`${noun} ${verb}`];
  const fits =
    verb === 'list'
      ? words.length === 0
      : address !== undefined && (verb === 'add' && noun === 'alias' ? rest.length > 0 : rest.length === 0);
  if (known === undefined || !fits) {
    throw new PodserveError('USAGE', 'podserve mail was not understood', {
      why: `it was given ${args.positionals.join(' ')}`,
      remedy: 'podserve mail --help shows what user and alias take',
    });
  }
  await known(work, address ?? '', rest);
  return 0;
}

const ACTIONS: Readonly<Record<string, (work: Work, address: string, rest: readonly string[]) => Promise<void>>> = {
  'user add': addUser,
  'user passwd': changePassword,
  'user remove': removeUser,
  'user list': listUsers,
  'alias add': addAlias,
  'alias remove': removeAlias,
  'alias list': listAliases,
};

async function addUser(work: Work, given: string): Promise<void> {
  const { args, context, paths, domains } = work;
  const address = ownAddress(given, domains);
  const quota = readQuota(text(args, 'quota'));
  const sendAs = many(args, 'send-as').map((one) => ownAddress(one, domains));
  withAccount(readAccounts(paths.mail), { address, hash: '', quota, sendAs });
  const hash = await hashPassword(await readPassword(work, address));
  await changeAccounts(paths.mail, (now) => withAccount(now, { address, hash, quota, sendAs }));
  context.out(`${address} may log in and send; its mailbox is ${mailboxOf(paths.mail, address)}`);
}

async function changePassword(work: Work, given: string): Promise<void> {
  const { context, paths, domains } = work;
  const address = ownAddress(given, domains);
  withPassword(readAccounts(paths.mail), address, '');
  const hash = await hashPassword(await readPassword(work, address));
  await changeAccounts(paths.mail, (now) => withPassword(now, address, hash));
  context.out(`${address} has a new password; who is logged in stays so`);
}

async function removeUser({ args, context, paths, domains }: Work, given: string): Promise<void> {
  const address = ownAddress(given, domains);
  await changeAccounts(paths.mail, (now) => withoutAccount(now, address));
  const mailbox = mailboxOf(paths.mail, address);
  if (flag(args, 'delete-mailbox')) deleteMailbox(paths.mail, address);
  context.out(
    `${address} may not log in any more; ${flag(args, 'delete-mailbox') ? 'its messages are deleted' : `its messages stay in ${mailbox}`}`,
  );
}

async function listUsers({ args, context, paths }: Work): Promise<void> {
  const accounts = readAccounts(paths.mail).accounts.map(({ address, quota, sendAs }) => ({ address, quota: quota ?? null, sendAs }));
  if (flag(args, 'json')) return context.out(JSON.stringify(accounts, null, 2));
  for (const { address, quota, sendAs } of accounts) {
    context.out([address, ...(quota === null ? [] : [`quota ${quota} bytes`]), ...sendAs.map((one) => `may send as ${one}`)].join(', '));
  }
  if (accounts.length === 0) context.err('podserve mail: there is no account; podserve mail user add ADDRESS makes one');
}

async function addAlias({ context, paths, domains }: Work, given: string, rest: readonly string[]): Promise<void> {
  const address = ownAddress(given, domains);
  const targets = rest.map(anyAddress);
  await changeAccounts(paths.mail, (now) => withAlias(now, address, targets));
  context.out(`what comes for ${address} goes to ${targets.join(', ')}`);
}

async function removeAlias({ context, paths, domains }: Work, given: string): Promise<void> {
  const address = ownAddress(given, domains);
  await changeAccounts(paths.mail, (now) => withoutAlias(now, address));
  context.out(`${address} leads nowhere any more`);
}

async function listAliases({ args, context, paths }: Work): Promise<void> {
  const { aliases } = readAccounts(paths.mail);
  if (flag(args, 'json')) return context.out(JSON.stringify(aliases, null, 2));
  for (const { address, targets } of aliases) context.out(`${address} → ${targets.join(', ')}`);
}

function readQuota(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const bytes = parseSize(value);
  if (bytes !== undefined) return bytes;
  throw new PodserveError('USAGE', 'this is no size', { where: '--quota', why: JSON.stringify(value), remedy: 'write it like 5GiB' });
}

/** Never an argument: those can be read by everybody on the host. */
async function readPassword({ args, context }: Work, address: string): Promise<string> {
  const file = text(args, 'password-file');
  const password = file === undefined ? await askTwice(`Password for ${address}`, context) : readFirstLine(file, context.cwd);
  if (password.length >= SHORTEST_PASSWORD) return password;
  throw new PodserveError('USAGE', 'the password is too short', {
    ...(file === undefined ? {} : { where: file }),
    why: `it has ${password.length} characters`,
    remedy: `take at least ${SHORTEST_PASSWORD}`,
  });
}

function readFirstLine(file: string, cwd: string): string {
  try {
    return readFileSync(file === '-' ? 0 : resolve(cwd, file), 'utf8').split(/\r?\n/)[0] ?? '';
  } catch (cause) {
    throw new PodserveError('USAGE', 'the password cannot be read', {
      where: file,
      why: messageOf(cause),
      remedy: 'give a file that this user may read, or - for standard input',
      cause,
    });
  }
}
