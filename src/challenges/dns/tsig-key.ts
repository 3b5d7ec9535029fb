import { readFileSync, statSync } from 'node:fs';

import { PodserveError, systemCode, type ErrorDetail } from '../../platform/errors.ts';
import { refusalOf } from '../../platform/unreadable.ts';
import { DnsFormatError, canonicalName } from './name.ts';

/** RFC 8945 §6, without hmac-md5, and what node:crypto calls the hash. */
export const TSIG_ALGORITHMS = {
  'hmac-sha1': 'sha1',
  'hmac-sha224': 'sha224',
  'hmac-sha256': 'sha256',
  'hmac-sha384': 'sha384',
  'hmac-sha512': 'sha512',
} as const;
export type TsigAlgorithm = keyof typeof TSIG_ALGORITHMS;

export interface TsigKey {
  /** As `canonicalName` writes it. */
  readonly name: string;
  readonly algorithm: TsigAlgorithm;
  readonly secret: Buffer;
}

export interface TsigKeyFile {
  readonly key: TsigKey;
  /** Whether users who do not own it can read it. */
  readonly exposed: boolean;
}

const LARGEST = 65_536;
const REMEDY = 'make one with: tsig-keygen podserve > FILE';

/**
 * Reads a key in BIND's form, as `tsig-keygen` prints it: `key "name" { algorithm hmac-sha256; secret "base64"; };`,
 * with comments of any kind. Links are followed: Kubernetes makes secrets available through them.
 * @throws PodserveError CHALLENGE_FAILED, without a word of what the file holds beyond key name and algorithm
 */
export function readTsigKey(file: string): TsigKeyFile {
  const { text, exposed } = readSmall(file);
  const wrong = (why: string, remedy = REMEDY): PodserveError => unusable({ where: file, why, remedy });
  const found = [...withoutComments(text).matchAll(KEY)];
  const [, name, body = ''] = found[0] ?? [];
  if (name === undefined) throw wrong('it holds no key "name" { … };');
  if (found.length > 1) throw wrong(`it holds ${found.length} keys`, 'put the one that may update the zone in a file of its own');
  const algorithm = (ALGORITHM.exec(body)?.[1] ?? '').toLowerCase().replace(/\.$/, '');
  if (algorithm === '') throw wrong('its key names no algorithm');
  if (algorithm.startsWith('hmac-md5')) throw wrong('its key is for hmac-md5, which is broken', `${REMEDY}, and give it to the server`);
  if (!isAlgorithm(algorithm)) throw wrong(`its algorithm is none of ${Object.keys(TSIG_ALGORITHMS).join(', ')}`);
  const secret = SECRET.exec(body)?.[1]?.replaceAll(/\s/g, '') ?? '';
  if (secret === '') throw wrong('its key has no secret');
  const octets = Buffer.from(secret, 'base64');
  if (octets.toString('base64').replaceAll('=', '') !== secret.replaceAll('=', '')) throw wrong('its secret is not base64: it is damaged');
  try {
    return { key: { name: canonicalName(name), algorithm, secret: octets }, exposed };
  } catch (error) {
    throw error instanceof DnsFormatError ? wrong('its key has a name that is no DNS name') : error;
  }
}

const KEY = /\bkey\s+"?([^\s"{};]+)"?\s*\{([^}]*)\}/gi;
const ALGORITHM = /\balgorithm\s+"?([^\s";]+)"?\s*;/i;
const SECRET = /\bsecret\s+"?([^";]+)"?\s*;/i;

/** A base64 secret may hold `//`, but only inside quotes. */
function withoutComments(text: string): string {
  return text.replaceAll(/("[^"]*")|\/\*[^]*?\*\/|\/\/[^\n]*|#[^\n]*/g, (_, quoted: string | undefined) => quoted ?? ' ');
}

function isAlgorithm(text: string): text is TsigAlgorithm {
  return Object.hasOwn(TSIG_ALGORITHMS, text);
}

function readSmall(file: string): { text: string; exposed: boolean } {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) throw unusable({ where: file, why: 'it is no file', remedy: REMEDY });
    if (stat.size > LARGEST) throw unusable({ where: file, why: `it is larger than ${LARGEST} bytes`, remedy: REMEDY });
    return { text: readFileSync(file, 'utf8'), exposed: (stat.mode & 0o007) !== 0 };
  } catch (error) {
    if (error instanceof PodserveError) throw error;
    if (systemCode(error) === 'ENOENT') throw unusable({ where: file, why: 'there is no such file', remedy: REMEDY, cause: error });
    throw unusable({ where: file, ...refusalOf(file, error), cause: error });
  }
}

function unusable(detail: ErrorDetail): PodserveError {
  return new PodserveError('CHALLENGE_FAILED', 'the TSIG key cannot be read', detail);
}
