import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';

import { systemCode } from '../../platform/errors.ts';
import { isTemporary } from '../../platform/files.ts';
import { PARTS } from './format.ts';
import { leadsOut } from './inside.ts';

/** One entry of an archive, before its content is read. */
export interface ArchiveEntry {
  /** In the archive. */
  readonly path: string;
  readonly type: 'File' | 'Directory' | 'SymbolicLink';
  /** Where the content of a file is. */
  readonly source: string;
  readonly linkpath: string | undefined;
  readonly mode: number;
  readonly gid: number;
  /** Bytes; 0 but for files. */
  readonly size: number;
  readonly mtime: Date;
}

/** Locks and the names of their holders belong to processes, not to the state; of the ledger a copy is taken. */
const NOT_STATE = /^(certificates\/\.lock|authority\/resident\.|authority\/ledger\.sqlite(-|$)|authority\/acme\/\.locks$|mail\/\.)/;
/** The queue works by inode numbers; caches, and indexes of what is there, are made anew. */
const NOT_MAIL = /^mail\/(?:(?:queue|postfix|rspamd)$|boxes\/.*\/(?:tmp|dovecot\.(?:list\.)?index[^/]*|[^/]*\.lock)$)/;

/** What a backup of a state directory holds, directories before what is in them, and what it leaves out. */
export function contentsOf(state: string): { entries: ArchiveEntry[]; warnings: string[] } {
  const entries: ArchiveEntry[] = [];
  const warnings: string[] = [];
  const walk = (path: string): void => {
    const source = join(state, path);
    const stat = lstatSync(source, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (stat.isDirectory()) {
      entries.push(entryOf(path, 'Directory', source, stat));
      for (const name of readdirSync(source).sort(newBeforeCur)) {
        const below = `${path}/${name}`;
        if (!isTemporary(name) && !NOT_STATE.test(below) && !NOT_MAIL.test(below)) walk(below);
      }
    } else if (stat.isFile()) {
      entries.push(entryOf(path, 'File', source, stat));
    } else if (stat.isSymbolicLink()) {
      const linkpath = readlinkSync(source);
      if (leadsOut(path, linkpath)) warnings.push(`${source} leads out of the state directory to ${linkpath}: it is not in the backup`);
      else entries.push({ ...entryOf(path, 'SymbolicLink', source, stat), linkpath });
    } else {
      warnings.push(`${source} is no file, directory or link: it is not in the backup`);
    }
  };
  for (const part of PARTS) if (isThere(join(state, part))) walk(part);
  return { entries, warnings };
}

/** A message that is looked at meanwhile goes from `new` to `cur` of its Maildir: it is met in one of them at least. */
function newBeforeCur(one: string, other: string): number {
  return rank(one) < rank(other) ? -1 : 1;
}

function rank(name: string): string {
  return name === 'new' ? 'cur' : name === 'cur' ? 'cur.' : name;
}

/** An entry for one file under another name. */
export function fileEntry(path: string, source: string): ArchiveEntry {
  return entryOf(path, 'File', source, lstatSync(source));
}

function entryOf(path: string, type: ArchiveEntry['type'], source: string, stat: Stats): ArchiveEntry {
  const { mode, gid, mtime } = stat;
  return { path, type, source, linkpath: undefined, mode: mode & 0o777, gid, size: type === 'File' ? stat.size : 0, mtime };
}

function isThere(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}
