import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

import { CERTIFICATE_NAME } from '../certificate/spec.ts';
import { systemCode } from '../platform/errors.ts';

/** The one link that changes. */
export const CURRENT = '..data';

/** The certificate whose files also have their plain names at the top of the publication. */
export const DEFAULT_NAME = 'default';

/** The files of a generation. Each has a plain name beside `..data` that leads through it. */
export const FILES = ['cert.pem', 'chain.pem', 'fullchain.pem', 'privkey.pem', 'combined.pem', 'manifest.json'] as const;
export type PublishedFile = (typeof FILES)[number];

/** The files that hold the key: for owner and group only. */
export function isSecret(file: PublishedFile): boolean {
  return file === 'privkey.pem' || file === 'combined.pem';
}

export function certificateDirectory(root: string, name: string): string {
  return join(root, name);
}

/** What a plain name is a link to. */
export function plainTarget(file: PublishedFile): string {
  return `${CURRENT}/${file}`;
}

/**
 * Where `..data` of a certificate leads, e.g. `..gen-000042`; undefined when nothing was ever published. One system
 * call, never throws: for a link that is there and cannot be read it gives `!` and the error's code, which equals no
 * generation, so that who compares links looks further; `readCurrent` then says what is wrong.
 */
export function currentLink(root: string, name: string): string | undefined {
  try {
    return readlinkSync(`${root}/${name}/${CURRENT}`);
  } catch (error) {
    const code = systemCode(error);
    return code === 'ENOENT' || code === 'ENOTDIR' ? undefined : `!${code}`;
  }
}

/** The names of the certificate directories that are there, sorted; none where there is no publication. */
export function listNames(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((entry) => !entry.isFile() && CERTIFICATE_NAME.test(entry.name))
      .map(({ name }) => name)
      .sort();
  } catch {
    // Whoever wants to know why reads or publishes, and is told then.
    return [];
  }
}
