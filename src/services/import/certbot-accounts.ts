import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

import { isHttps } from '../../acme/fields.ts';
import { PodserveError, messageOf, systemCode } from '../../platform/errors.ts';
import { readBounded } from '../../platform/files.ts';

/** An account as certbot keeps it. */
export interface CertbotAccount {
  readonly id: string;
  /** Host and path of the server's directory: `acme-v02.api.letsencrypt.org/directory`. */
  readonly server: string;
  /** How many lineages are renewed with it. */
  readonly uses: number;
  /** When it was made, ms since the epoch; 0 where certbot does not say. */
  readonly createdAt: number;
  readonly content: AccountContent | { readonly trouble: string };
}

export interface AccountContent {
  readonly key: KeyObject;
  readonly url: string;
  readonly contact: readonly string[];
}

const LARGEST_FILE = 64 * 1024;
const KEY_FILE = 'private_key.json';
/** accounts/HOST/PATH…/ID: paths of directory URLs are short. */
const DEEPEST = 8;

/**
 * Reads the accounts of a directory such as `/etc/letsencrypt`, by server and, of one server, the one that most lineages
 * are renewed with first, then the newest. Nothing is changed there.
 * @throws PodserveError IMPORT_FAILED when it may not be read
 */
export function readCertbotAccounts(directory: string): CertbotAccount[] {
  const top = join(directory, 'accounts');
  const uses = usesIn(join(directory, 'renewal'));
  return findAccounts(top, 0)
    .map((path): CertbotAccount => {
      const parts = relative(top, path).split('/');
      const id = parts.at(-1) ?? '';
      const server = parts.slice(0, -1).join('/');
      return { id, server, uses: uses.get(id) ?? 0, createdAt: createdAt(path), content: readContent(path) };
    })
    .sort((a, b) => compare(a.server, b.server) || b.uses - a.uses || b.createdAt - a.createdAt || compare(a.id, b.id));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function findAccounts(directory: string, depth: number): string[] {
  const names = namesIn(directory);
  if (names.includes(KEY_FILE)) return [directory];
  if (depth === DEEPEST) return [];
  return names
    .map((name) => join(directory, name))
    .filter(isDirectory)
    .flatMap((path) => findAccounts(path, depth + 1));
}

/** A link that leads nowhere, or in a circle, is none. */
function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT' || systemCode(cause) === 'ENOTDIR') return [];
    throw new PodserveError('IMPORT_FAILED', "certbot's accounts cannot be read", {
      where: directory,
      why: messageOf(cause),
      remedy: 'run it as root: certbot keeps them for root alone',
      cause,
    });
  }
}

/** By account: `account = ID` of the lineages' configurations. */
function usesIn(renewal: string): Map<string, number> {
  const uses = new Map<string, number>();
  for (const name of namesIn(renewal).filter((file) => file.endsWith('.conf'))) {
    const id = /^\s*account\s*=\s*(\S+)\s*$/m.exec(read(join(renewal, name)) ?? '')?.[1];
    if (id !== undefined) uses.set(id, (uses.get(id) ?? 0) + 1);
  }
  return uses;
}

function createdAt(path: string): number {
  const { creation_dt: created } = document(join(path, 'meta.json')) ?? {};
  const at = typeof created === 'string' ? Date.parse(created) : Number.NaN;
  return Number.isNaN(at) ? 0 : at;
}

function readContent(path: string): CertbotAccount['content'] {
  const registration = document(join(path, 'regr.json'));
  const url = registration?.['uri'];
  if (typeof url !== 'string' || !isHttps(url)) return { trouble: `${join(path, 'regr.json')} does not say its https:// URL` };
  const jwk = document(join(path, KEY_FILE));
  try {
    const key = createPrivateKey({ key: jwk ?? {}, format: 'jwk' });
    const { contact } = (registration?.['body'] ?? {}) as { contact?: unknown };
    return { key, url, contact: Array.isArray(contact) ? contact.filter((one) => typeof one === 'string') : [] };
  } catch {
    // OpenSSL's message is dropped on purpose: nothing derived from a key goes into a message.
    return { trouble: `${join(path, KEY_FILE)} is no private key that can be read` };
  }
}

function document(file: string): Readonly<Record<string, unknown>> | undefined {
  const text = read(file);
  try {
    const value: unknown = JSON.parse(text ?? '');
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

function read(file: string): string | undefined {
  try {
    const found = readBounded(file, LARGEST_FILE);
    return 'text' in found ? found.text : undefined;
  } catch {
    return undefined;
  }
}
