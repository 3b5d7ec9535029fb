import { readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { parseBundle, parseCertificates, type Bundle } from '../../certificate/bundle.ts';
import { PodserveError, messageOf, systemCode } from '../../platform/errors.ts';
import { readBounded } from '../../platform/files.ts';

/** What certbot calls a certificate with its renewals, proven to belong together. */
export interface Lineage {
  readonly name: string;
  readonly bundle: Bundle;
}

export interface BrokenLineage {
  readonly name: string;
  /** The file that is wrong. */
  readonly file: string;
  readonly why: string;
}

const LARGEST_FILE = 1024 * 1024;
/** certbot changes the four links of a lineage one after the other; a pair read meanwhile may not match. */
const TRIES = 3;
const BETWEEN_TRIES_MS = 200;

/**
 * Reads every lineage of a directory such as `/etc/letsencrypt`, in the order of their names, and changes nothing there.
 * A lineage that cannot be used is reported and hinders no other.
 * @throws PodserveError USAGE when it is no such directory, IMPORT_FAILED when it may not be read
 */
export async function readCertbot(directory: string): Promise<{ lineages: Lineage[]; broken: BrokenLineage[] }> {
  const live = join(directory, 'live');
  const names = new Set(directoriesIn(live));
  const renewed = configurationsIn(join(directory, 'renewal'));
  const lineages: Lineage[] = [];
  const broken: BrokenLineage[] = [];
  for (const name of [...names, ...renewed.filter((one) => !names.has(one))].sort()) {
    const found = await readLineage(live, name);
    if ('bundle' in found) lineages.push(found);
    else broken.push(found);
  }
  return { lineages, broken };
}

function directoriesIn(live: string): string[] {
  try {
    return readdirSync(live, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (cause) {
    const code = systemCode(cause);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new PodserveError('USAGE', 'this is no directory of certbot', {
        where: live,
        why: 'it is missing',
        remedy: 'give the directory that holds live/ and archive/, such as /etc/letsencrypt',
        cause,
      });
    }
    throw new PodserveError('IMPORT_FAILED', "certbot's certificates cannot be read", {
      where: live,
      why: messageOf(cause),
      remedy: 'run it as root: certbot keeps them for root alone',
      cause,
    });
  }
}

/** The lineages that certbot would renew; without the directory, none. */
function configurationsIn(renewal: string): string[] {
  try {
    return readdirSync(renewal)
      .filter((file) => file.endsWith('.conf'))
      .map((file) => file.slice(0, -'.conf'.length));
  } catch {
    return [];
  }
}

async function readLineage(live: string, name: string): Promise<Lineage | BrokenLineage> {
  for (let left = TRIES; ; left -= 1) {
    const found = readOnce(live, name);
    if ('bundle' in found || left === 1 || !found.why.includes('does not belong')) return found;
    await pause(BETWEEN_TRIES_MS);
  }
}

function readOnce(live: string, name: string): Lineage | BrokenLineage {
  const keyFile = join(live, name, 'privkey.pem');
  const chainFile = join(live, name, 'fullchain.pem');
  const chain = readLinked(chainFile);
  if ('refused' in chain) return { name, file: chainFile, why: chain.refused };
  const key = readLinked(keyFile);
  if ('refused' in key) return { name, file: keyFile, why: key.refused };
  try {
    parseCertificates(chain.text);
  } catch (error) {
    return { name, file: chainFile, why: whyOf(error) };
  }
  try {
    return { name, bundle: parseBundle(key.text, chain.text) };
  } catch (error) {
    const why = whyOf(error);
    return { name, file: why.includes('private key') ? keyFile : chainFile, why };
  }
}

function readLinked(file: string): { readonly text: string } | { readonly refused: string } {
  try {
    return readBounded(realpathSync(file), LARGEST_FILE);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') return { refused: 'it is missing, or leads to a file that is' };
    if (code === 'ELOOP') return { refused: 'its links lead in a circle' };
    if (code === 'EACCES' || code === 'EPERM') return { refused: `user ${process.geteuid?.()} may not read it: run this as root` };
    return { refused: messageOf(error) };
  }
}

function whyOf(error: unknown): string {
  return error instanceof PodserveError ? (error.why ?? error.message) : messageOf(error);
}
