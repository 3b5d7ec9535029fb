import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { SECOND } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import { temporaryName } from '../../platform/files.ts';
import type { MailUsers } from './daemons.ts';
import type { AccountMaps } from './maps.ts';
import type { MailPlaces } from './places.ts';

const SPAM_SIEVE = `require ["fileinto", "mailbox"];
if header :is "X-Spam" "Yes" {
  fileinto :create "Junk";
  stop;
}
`;

/** Makes the directories of the daemons, each for those who use it. Needs root. */
export function makeMailDirectories(places: MailPlaces, users: MailUsers): void {
  const { postfix, rspamd, mail } = users;
  const root = { uid: 0, gid: 0 };
  const wanted: readonly (readonly [path: string, owner: { uid: number; gid: number }, mode: number])[] = [
    [places.queue, root, 0o755],
    [places.postfixData, postfix, 0o700],
    [places.boxes, mail, 0o700],
    [places.dkim, { uid: 0, gid: rspamd.gid }, 0o750],
    [places.rspamdData, rspamd, 0o700],
    [places.postfixConfig, root, 0o755],
    [places.dovecotRun, root, 0o755],
    [places.loginRun, root, 0o755],
    [places.rspamdConfig, root, 0o755],
    [join(places.rspamdConfig, 'local.d'), root, 0o755],
    [places.rspamdRun, { uid: rspamd.uid, gid: postfix.gid }, 0o750],
    [dirname(places.mailboxes), { uid: 0, gid: postfix.gid }, 0o750],
    [dirname(places.policy), { uid: 0, gid: postfix.gid }, 0o750],
    [dirname(places.spamSieve), root, 0o755],
  ];
  for (const [path, { uid, gid }, mode] of wanted) {
    mkdirSync(path, { recursive: true });
    chownSync(path, uid, gid);
    chmodSync(path, mode);
  }
}

/** Gives mailboxes that were restored from a backup to their user: whoever restored them owns them. */
export function adoptBoxes({ boxes }: MailPlaces, { mail }: MailUsers): void {
  const give = (path: string): void => {
    const stat = lstatSync(path);
    if (stat.uid !== mail.uid) lchownSync(path, mail.uid, mail.gid);
    if (stat.isDirectory()) for (const name of readdirSync(path)) give(join(path, name));
  };
  for (const domain of readdirSync(boxes)) {
    const all = join(boxes, domain);
    // One that is its user's is so as a whole, and may hold very many messages.
    const tops = [all, ...readdirSync(all).map((name) => join(all, name))];
    if (tops.some((path) => lstatSync(path).uid !== mail.uid)) give(all);
  }
}

/** Replaces a file in one step when its text is another than before. @returns whether it was */
export function rewrite(file: string, text: string, mode: number, gid = 0): boolean {
  if (readOptional(file) === text) return false;
  const temporary = temporaryName(file);
  writeFileSync(temporary, text, { mode });
  chmodSync(temporary, mode);
  chownSync(temporary, 0, gid);
  renameSync(temporary, file);
  return true;
}

/** @returns whether any was another than before: Dovecot and Postfix read them again by themselves */
export async function writeMaps(places: MailPlaces, users: MailUsers, maps: AccountMaps): Promise<boolean> {
  const before = statSync(places.users, { throwIfNoEntry: false })?.mtimeMs;
  let any = rewrite(places.users, maps.users, 0o640, users.dovecot.gid);
  if (any && before !== undefined) outdate(places.users, before);
  for (const [file, text] of [
    [places.mailboxes, maps.mailboxes],
    [places.aliases, maps.aliases],
    [places.senders, maps.senders],
  ] as const) {
    if (!rewrite(file, text, 0o640, users.postfix.gid)) continue;
    any = true;
    await postmap(places, [`lmdb:${file}`]);
  }
  return any;
}

/** Dovecot knows a new passwd-file by its size and by its time in whole seconds: that is another one each time. */
function outdate(file: string, before: number): void {
  const { mtimeMs } = statSync(file);
  const second = Math.max(Math.floor(mtimeMs / SECOND), Math.floor(before / SECOND) + 1);
  utimesSync(file, second, second);
}

/** The map embeds the PEM files that it names: it is made anew at each change of one. */
export async function writeSni(places: MailPlaces, entries: readonly (readonly [name: string, file: string])[]): Promise<void> {
  const text = entries.map(([name, file]) => `${name.replace(/^\*(?=\.)/, '')} ${file}\n`).join('');
  writeFileSync(places.sni, text, { mode: 0o600 });
  await postmap(places, ['-F', `lmdb:${places.sni}`]);
}

export async function compileSieve(places: MailPlaces): Promise<void> {
  writeFileSync(places.spamSieve, SPAM_SIEVE, { mode: 0o644 });
  await tool('/usr/bin/sievec', ['-c', places.dovecotConfig, places.spamSieve], 'the filter for spam cannot be compiled');
}

/** Lets Dovecot read a configuration without serving it. @throws PodserveError CONFIG_INVALID */
export async function testDovecot(file: string): Promise<void> {
  await tool('/usr/bin/doveconf', ['-n', '-c', file], 'Dovecot refuses the configuration made for it');
}

/** Lets Postfix make what is missing of its queue, and look at its own files. @throws PodserveError CONFIG_INVALID */
export async function preparePostfix(places: MailPlaces): Promise<void> {
  await tool('/usr/sbin/postfix', ['-c', places.postfixConfig, 'check'], 'Postfix refuses the configuration made for it');
}

async function postmap(places: MailPlaces, args: readonly string[]): Promise<void> {
  await tool('/usr/sbin/postmap', ['-c', places.postfixConfig, ...args], 'a map of Postfix cannot be made');
}

async function tool(program: string, args: readonly string[], what: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  // Postfix's open their log, /dev/stdout, by name: that cannot be the socket that a pipe of Node's is.
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8' },
  });
  let words = '';
  child.stderr.on('data', (data: Buffer) => (words += data.toString()));
  child.once('error', reject);
  child.once('close', resolve);
  const code = await promise;
  if (code === 0) return;
  throw new PodserveError('CONFIG_INVALID', what, {
    where: args.at(-1) ?? program,
    why: words.trim() || `it ended with exit code ${code}`,
    remedy: 'check the section mail; what was served before is served on',
  });
}

function readOptional(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
