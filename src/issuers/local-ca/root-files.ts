import { randomBytes, type KeyObject } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { parseBundle, parseCertificates } from '../../certificate/bundle.ts';
import { PodserveError, describeError, messageOf, systemCode } from '../../platform/errors.ts';
import { makeDirectories } from '../../platform/files.ts';
import { subjectKeyIdentifierOf, subjectName } from '../../x509/certificate-reader.ts';
import { signerFor } from '../../x509/key.ts';
import type { Authority } from '../leaf.ts';
import { readRoot, type Root } from './root.ts';

/** A root as it was found, with what signs for it where its key can be used. */
export interface StoredRoot {
  readonly root: Root;
  readonly authority: Authority | undefined;
}

/** What the authority's directory holds. */
export interface RootFiles {
  readonly stored: readonly StoredRoot[];
  /** Root files that cannot sign, by name, with the reason. Set-aside ones are not repeated here. */
  readonly damaged: readonly { readonly file: string; readonly why: string }[];
  /** The next number that no file has, damaged and set-aside ones included. */
  readonly nextNumber: number;
}

const ROOT_FILE = /^root-(\d{6,})\.pem(\.corrupt-.+)?$/;
const TEMPORARY_FILE = /^\.root-\d{6,}\.[0-9a-f]+$/;
const PREAMBLE = 'Root of the built-in CA of PodServe. Secret: who has this file can sign for the names it permits.\n\n';

/**
 * Reads every root, newest number last; changes nothing. A directory that does not exist holds none.
 * @throws PodserveError AUTHORITY_UNREADABLE
 */
export function readRootFiles(directory: string): RootFiles {
  const stored: StoredRoot[] = [];
  const damaged: { file: string; why: string }[] = [];
  let highest = 0;
  for (const file of namesIn(directory).sort()) {
    const match = ROOT_FILE.exec(file);
    if (match === null) continue;
    const number = Number(match[1]);
    highest = Math.max(highest, number);
    const aside = match[2] !== undefined;
    const found = readRootFile(join(directory, file), number);
    if (found.root !== undefined) stored.push(storedRoot(found.root, aside ? undefined : found.key));
    if (found.why !== undefined && !aside) damaged.push({ file, why: found.why });
  }
  return { stored, damaged, nextNumber: highest + 1 };
}

/**
 * Writes one root so that a kill or a power cut at any moment leaves all of it or nothing.
 * @throws PodserveError AUTHORITY_UNWRITABLE
 */
export function writeRootFile(directory: string, root: Root, key: KeyObject): void {
  const file = rootFile(directory, root.number);
  const temporary = join(directory, `.root-${number6(root.number)}.${randomBytes(6).toString('hex')}`);
  const pem = PREAMBLE + root.pem + key.export({ type: 'pkcs8', format: 'pem' });
  try {
    makeDirectory(directory);
    try {
      const descriptor = openSync(temporary, 'wx', 0o600);
      try {
        writeFileSync(descriptor, pem);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(temporary, file);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    syncDirectory(directory);
  } catch (cause) {
    throw new PodserveError('AUTHORITY_UNWRITABLE', 'the built-in CA could not keep a new root', {
      where: file,
      why: messageOf(cause),
      remedy: remedyFor(cause, directory),
      cause,
    });
  }
}

/** A root together with its key, or without one. */
export function storedRoot(root: Root, key: KeyObject | undefined): StoredRoot {
  const der = root.certificate.raw;
  const name = subjectName(der);
  const keyIdentifier = subjectKeyIdentifierOf(der);
  const authority = key && name && keyIdentifier && { name, keyIdentifier, signer: signerFor(key) };
  return { root: { ...root, hasKey: authority !== undefined }, authority };
}

/** Where the root of that number is kept. */
function rootFile(directory: string, number: number): string {
  return join(directory, `root-${number6(number)}.pem`);
}

/**
 * Renames a damaged root file, so that it is kept for the owner and never met again; removes temporary files of
 * killed processes; closes what others could read. Failure here stops nothing: it becomes a line for `warn`.
 */
export function tidyRootFiles(directory: string, files: RootFiles, now: number, warn: (line: string) => void): void {
  for (const { file, why } of files.damaged) setAside(directory, file, why, now, warn);
  for (const name of namesIn(directory)) {
    const path = join(directory, name);
    try {
      if (TEMPORARY_FILE.test(name)) rmSync(path);
      else if (ROOT_FILE.test(name) && (statSync(path).mode & 0o077) !== 0) closeToOthers(path, warn);
    } catch (error) {
      warn(`${path} could not be tidied up: ${messageOf(error)}`);
    }
  }
}

function readRootFile(path: string, number: number): { root?: Root; key?: KeyObject; why?: string } {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (cause) {
    if (systemCode(cause) === 'EISDIR') return { why: 'it is a directory' };
    throw unreadable(path, cause);
  }
  try {
    const { leaf, key } = parseBundle(text, text);
    const root = readRoot(number, leaf, true);
    return typeof root === 'string' ? { why: root } : { root, key };
  } catch (error) {
    return { ...certificateAlone(text, number), why: describeError(error) };
  }
}

/** The certificate of a root whose key is lost: its leaves must still be trusted. */
function certificateAlone(text: string, number: number): { root?: Root } {
  try {
    const [certificate] = parseCertificates(text);
    const root = certificate === undefined ? 'none' : readRoot(number, certificate, false);
    return typeof root === 'string' ? {} : { root };
  } catch {
    return {};
  }
}

function setAside(directory: string, file: string, why: string, now: number, warn: (line: string) => void): void {
  const path = join(directory, file);
  const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  let aside = `${path}.corrupt-${stamp}`;
  for (let again = 2; existsSync(aside); again += 1) aside = `${path}.corrupt-${stamp}-${again}`;
  try {
    renameSync(path, aside);
    syncDirectory(directory);
    warn(
      `a root of the built-in CA cannot sign any more: ${path}: ${why}; it was set aside as ${aside}; restore ${path} from a backup to have it back`,
    );
  } catch (error) {
    warn(`a root of the built-in CA cannot sign any more: ${path}: ${why}; it could not be set aside (${messageOf(error)})`);
  }
}

function closeToOthers(path: string, warn: (line: string) => void): void {
  if (statSync(path).isDirectory()) return;
  chmodSync(path, 0o600);
  warn(
    `${path} holds the key of the built-in CA and was open to others: its mode is now 0600; if others may have read it, remove it so that a new root is made`,
  );
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return [];
    throw unreadable(directory, cause);
  }
}

/** The state directory keeps its usual mode; the authority and the CA in it are the owner's alone. */
function makeDirectory(directory: string): void {
  const authority = dirname(directory);
  makeDirectories(dirname(authority));
  for (const path of [authority, directory]) {
    if (existsSync(path)) continue;
    mkdirSync(path, { mode: 0o700 });
    syncDirectory(dirname(path));
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function number6(number: number): string {
  return String(number).padStart(6, '0');
}

function unreadable(where: string, cause: unknown): PodserveError {
  return new PodserveError('AUTHORITY_UNREADABLE', 'the built-in CA cannot be read', {
    where,
    why: messageOf(cause),
    remedy: 'run as the user that owns it, or restore it from a backup',
    cause,
  });
}

function remedyFor(error: unknown, directory: string): string {
  switch (systemCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'free some space there, then run it again';
    case 'EROFS':
      return 'mount that file system writable, then run it again';
    case 'EACCES':
    case 'EPERM':
      return `run as the owner of ${directory}, or let this user write there`;
    case undefined:
    default:
      return `see that ${directory} is a directory that this user can write`;
  }
}
