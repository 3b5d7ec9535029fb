import { copyFileSync, existsSync, linkSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { systemCode } from '../../platform/errors.ts';
import { fileEntry, type ArchiveEntry } from './contents.ts';

const MAIL = 'mail/';
/** A message in a Maildir: its name up to the flags stays as it is for as long as it is there. */
const MESSAGE = /^(?<folder>.*)\/(?:new|cur)\/(?<base>[^/:]+)(?::[^/]*)?$/;

/**
 * The entries with links in `place`, on the same file system, for messages, and with copies for the rest of mail:
 * messages are read, flagged and deleted while the archive is written. One that got another name since it was listed is found under that, one that
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
    const name = base === undefined ? copied(entry.source, link) : held(entry.source, base, link);
    if (name === undefined) return [];
    taken.add(key);
    const path = base === undefined ? entry.path : `${folder}/${name}`;
    return [{ ...fileEntry(path, link), mode: entry.mode, gid: entry.gid, mtime: entry.mtime }];
  });
}

/** @returns the name of a message now, below its folder; undefined when it is gone */
function held(source: string, base: string, link: string): string | undefined {
  const folder = dirname(dirname(source));
  const listed = `${basename(dirname(source))}/${basename(source)}`;
  if (hold(source, link)) return listed;
  for (const sub of ['cur', 'new'].filter((one) => existsSync(join(folder, one)))) {
    const name = readdirSync(join(folder, sub)).find((one) => one === base || one.startsWith(`${base}:`));
    if (name !== undefined && hold(join(folder, sub, name), link)) return `${sub}/${name}`;
  }
  return undefined;
}

/** A message never changes, only its name does. @returns false when it is not there */
function hold(source: string, link: string): boolean {
  try {
    linkSync(source, link);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
  }
  // A file system without links, or one that refuses links to files of others.
  return copied(source, link) !== undefined;
}

/** Lists and settings are written to as they are, so a link would change. @returns undefined when it is not there */
function copied(source: string, copy: string): string | undefined {
  try {
    copyFileSync(source, copy);
    return basename(source);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
