import { createPrivateKey, createPublicKey, generateKeyPair } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { systemCode } from '../../platform/errors.ts';
import { replaceFile } from '../../platform/files.ts';

export interface DkimKey {
  readonly domain: string;
  readonly selector: string;
  /** PKCS #8, PEM. */
  readonly file: string;
  /** SPKI, DER in base64: `p=` of the record (RFC 6376 §3.6.1). */
  readonly publicKey: string;
}

const SELECTOR = 'podserve1';
/** RFC 8301 §3.2; larger keys do not fit into one UDP answer. */
const BITS = 2048;

/** The keys of these domains that are there. */
export function readDkimKeys(directory: string, domains: readonly string[]): DkimKey[] {
  return domains.flatMap((domain) => {
    const file = join(directory, `${domain}.${SELECTOR}.key`);
    try {
      const publicKey = createPublicKey(createPrivateKey(readFileSync(file))).export({ type: 'spki', format: 'der' });
      return [{ domain, selector: SELECTOR, file, publicKey: publicKey.toString('base64') }];
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return [];
      throw error;
    }
  });
}

/** Makes the keys that are missing; what is there is never replaced, for its record may be in DNS. */
export async function keepDkimKeys(directory: string, domains: readonly string[]): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o750 });
  const there = new Set(readDkimKeys(directory, domains).map(({ domain }) => domain));
  for (const domain of domains.filter((one) => !there.has(one))) {
    const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: BITS });
    await replaceFile(join(directory, `${domain}.${SELECTOR}.key`), privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o640);
  }
}
