import { copyFileSync, lstatSync } from 'node:fs';
import { join } from 'node:path';

import { systemCode } from '../../platform/errors.ts';
import { fileEntry, type ArchiveEntry } from './contents.ts';

/** Accounts and orders: kept by processes that do not hold the publication's lock. */
const CHANGING = 'authority/acme/';

/**
 * The entries with copies in `work` for files that may be replaced or removed while the archive is written. Each is
 * replaced by rename, so a copy is whole; one that is gone by now is no part of the backup.
 * @throws the system's error
 */
export function withCopies(entries: readonly ArchiveEntry[], work: string): ArchiveEntry[] {
  return entries.flatMap((entry, index) => {
    if (entry.type !== 'File' || !entry.path.startsWith(CHANGING)) return [entry];
    const copy = join(work, `changing-${index}`);
    try {
      const { mode, gid } = lstatSync(entry.source);
      copyFileSync(entry.source, copy);
      return [{ ...fileEntry(entry.path, copy), mode: mode & 0o777, gid, mtime: entry.mtime }];
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return [];
      throw error;
    }
  });
}
