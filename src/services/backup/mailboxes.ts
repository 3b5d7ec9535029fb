import { copyFileSync, linkSync, lstatSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { systemCode } from '../../platform/errors.ts';
import { fileEntry, type ArchiveEntry } from './contents.ts';

const MAIL = 'mail/';
/** A message in a Maildir: its name up to the flags stays as it is for as long as it is there. */
const MESSAGE = /^(?<folder>.*)\/(?:new|cur)\/(?<base>[^/:]+)(?::[^/]*)?$/;

/**
 * The entries with links in `place`, on the same file system, for everything of mail: messages are read, flagged and
 * deleted while the archive is written. One that got another name since it was listed is found under that, one that
 * is gone is no part of the backup, and one that was listed under two names is in it once.
 * @throws the system's error
 */
export function withMailLinks(entries: readonly ArchiveEntry[], place: string): ArchiveEntry[] {
  const taken = new Set<string>();
  return entries.flatMap((entry, index) => {
    if (entry.type !== 'File' || !entry.path.startsWith(MAIL)) return [entry];
    const { folder, base } = MESSAGE.exec(entry.path)?.groups ?? {};
    const key = base === undefined ? entry.path : `${folder}/${base}`;
    if (taken.has(key)) return [];
    const link = join(place, String(index));
    const name = hold(entry.source, link) ? basename(entry.source) : base === undefined ? undefined : holdRenamed(entry.source, base, link);
    if (name === undefined) return [];
    taken.add(key);
    const { mode, gid } = lstatSync(link);
    const path = base === undefined ? entry.path : `${folder}/${name.includes('/') ? name : `${subOf(entry.path)}/${name}`}`;
    return [{ ...fileEntry(path, link), mode: mode & 0o777, gid, mtime: entry.mtime }];
  });
}

/** @returns false when it is not there */
function hold(source: string, link: string): boolean {
  try {
    linkSync(source, link);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
  }
  // A file system without links, or one that refuses links to files of others.
  try {
    copyFileSync(source, link);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** @returns its name now, below the folder */
function holdRenamed(source: string, base: string, link: string): string | undefined {
  const folder = dirname(dirname(source));
  for (const sub of ['cur', 'new']) {
    const name = readdirSync(join(folder, sub)).find((one) => one === base || one.startsWith(`${base}:`));
    if (name !== undefined && hold(join(folder, sub, name), link)) return `${sub}/${name}`;
  }
  return undefined;
}

function subOf(path: string): string {
  return basename(dirname(path));
}
