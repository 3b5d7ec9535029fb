import { rmSync } from 'node:fs';
import { join } from 'node:path';

import type { Directory } from '../../acme/resources.ts';
import { DAY } from '../../platform/clock.ts';
import { readBounded, replaceFile } from '../../platform/files.ts';
import { makeSecretDirectory } from './secret-directory.ts';

/** How an ACME server's directory is remembered from run to run: a command that makes one order asks one request less. */
export interface KeptDirectory {
  /** What the server offered within the last day, or undefined. */
  read(now: number): Directory | undefined;
  /** Never throws: what is not kept is asked for. */
  keep(directory: Directory, now: number): Promise<void>;
  /** After a failure: the server may have moved. */
  forget(): void;
}

const LARGEST_FILE = 256 * 1024;

/**
 * @param place `authority/acme/<issuer>`
 * @param url of the directory: what was kept of another is not read
 */
export function keptDirectoryIn(place: string, url: string): KeptDirectory {
  const file = join(place, 'directory.json');
  return {
    read(now) {
      try {
        const read = readBounded(file, LARGEST_FILE);
        if ('refused' in read) return undefined;
        const kept = JSON.parse(read.text) as Partial<{ version: number; url: string; at: number; directory: Directory }>;
        const fresh = kept.at !== undefined && kept.at <= now && now < kept.at + DAY;
        return kept.version === 1 && kept.url === url && fresh && isWhole(kept.directory) ? kept.directory : undefined;
      } catch {
        // Missing at first, and worth no more than the request that it saves.
        return undefined;
      }
    },
    async keep(directory, at) {
      try {
        await makeSecretDirectory(place);
        await replaceFile(file, `${JSON.stringify({ version: 1, url, at, directory }, undefined, 2)}\n`, 0o600, 'written');
      } catch {
        // The next run asks for it again.
      }
    },
    forget() {
      rmSync(file, { force: true });
    },
  };
}

/** Nobody but we writes the file; it may still be cut short by a full disk. */
function isWhole(directory: Directory | undefined): directory is Directory {
  const urls = [directory?.newNonce, directory?.newAccount, directory?.newOrder, directory?.revokeCert, directory?.keyChange];
  return urls.every((one) => typeof one === 'string' && one.startsWith('https://')) && typeof directory?.meta?.profiles === 'object';
}
