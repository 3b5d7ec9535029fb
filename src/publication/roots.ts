import { linkSync } from 'node:fs';
import { join } from 'node:path';

import { readBounded, replaceFile } from '../platform/files.ts';
import { systemCode } from '../platform/errors.ts';
import { currentLink, listNames } from './layout.ts';
import { unwritable } from './trouble.ts';

const LARGEST_ROOTS = 1024 * 1024;

/**
 * Makes `pem` the content of `ca.pem`, which everybody may read. Called under the publication's lock.
 * A `ca.pem` that was there before anything was ever published is kept as `ca.pem.set-aside`.
 * @returns whether it had to be written
 * @throws PodserveError PUBLICATION_UNWRITABLE
 */
export async function publishRoots(root: string, pem: string): Promise<boolean> {
  const file = join(root, 'ca.pem');
  try {
    if (holds(file, pem)) return false;
    if (!everPublished(root)) keepForeign(file);
    await replaceFile(file, pem, 0o644);
    return true;
  } catch (error) {
    throw unwritable('the roots of the built-in CA could not be published', file, error);
  }
}

function everPublished(root: string): boolean {
  return listNames(root).some((name) => currentLink(root, name) !== undefined);
}

/** Before the first publication it is somebody else's: of a hand-made setup. */
function keepForeign(file: string): void {
  try {
    linkSync(file, `${file}.set-aside`);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'EEXIST') throw error;
  }
}

function holds(file: string, pem: string): boolean {
  try {
    const found = readBounded(file, LARGEST_ROOTS);
    return 'text' in found && found.text === pem;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'EACCES') return false;
    throw error;
  }
}
