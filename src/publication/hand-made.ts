import type { X509Certificate } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';

import { parseBundle, parseCertificates, pemOf, type Bundle } from '../certificate/bundle.ts';
import { PodserveError } from '../platform/errors.ts';
import { readBounded } from '../platform/files.ts';
import { plainTarget, type PublishedFile } from './layout.ts';
import { placeOf, type Place } from './links.ts';
import { unreadable } from './trouble.ts';

/** What of a pair somebody may have put there by hand. */
const HAND_MADE = ['cert.pem', 'fullchain.pem', 'chain.pem', 'privkey.pem', 'combined.pem'] as const satisfies PublishedFile[];
type HandMadeFile = (typeof HAND_MADE)[number];

const LARGEST_FILE = 1024 * 1024;

/** What is where links belong in one directory. */
export interface PlainFiles {
  readonly directory: string;
  /** Files, or links within the publication: candidates for adoption. */
  readonly files: readonly HandMadeFile[];
  /** Links that lead out of the publication. */
  readonly outside: readonly { readonly file: string; readonly place: Place }[];
}

/** @throws the system's error */
export function findPlain(directory: string, root: string): PlainFiles {
  const places = HAND_MADE.map((file) => ({ file, place: placeOf(join(directory, file), plainTarget(file), root) }));
  return {
    directory,
    files: places.filter(({ place }) => place.is === 'file' || place.is === 'inside').map(({ file }) => file),
    outside: places.filter(({ place }) => place.is === 'outside'),
  };
}

/**
 * Reads the pair that these files make. All that are there must speak of the same leaf; a part for which there is
 * no file is taken from what is published.
 * @throws PodserveError BUNDLE_INVALID, PUBLICATION_UNREADABLE
 */
export function readPlain({ directory, files }: PlainFiles): Bundle {
  const text = (file: HandMadeFile): string => (files.includes(file) ? readThrough(join(directory, file)) : '');
  const [cert, fullchain, chain, key, combined] = HAND_MADE.map(text) as [string, string, string, string, string];
  // A chain alone is no certificate: beside it, the leaf is what is published.
  const candidates = [fullchain, cert === '' ? '' : cert + chain, combined];
  const certificates = candidates.find((pem) => parsedIn(directory, pem).length > 0) ?? readThrough(join(directory, 'fullchain.pem'));
  const keyText = key || combined || readThrough(join(directory, 'privkey.pem'));
  const chainOnce = [...new Map(parsedIn(directory, certificates).map((one) => [one.fingerprint256, one])).values()];
  const bundle = proven(directory, keyText, chainOnce);
  for (const [file, pem] of Object.entries({ 'cert.pem': cert, 'fullchain.pem': fullchain, 'combined.pem': combined })) {
    const other = pem === '' ? undefined : parsedIn(join(directory, file), pem)[0];
    if (pem !== '' && other?.fingerprint256 !== bundle.leaf.fingerprint256) {
      throw unlike(join(directory, file), 'it does not begin with the same certificate as the other files');
    }
  }
  if (combined !== '') proven(join(directory, 'combined.pem'), combined, chainOnce);
  return bundle;
}

/** Who signed it, as people call them: common name, else organization. */
export function issuerName(leaf: X509Certificate): string {
  // An empty name is undefined in Node, whatever its types say.
  const issuer = (leaf.issuer as string | undefined) ?? '';
  const fields = new Map(issuer.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  return fields.get('CN') ?? fields.get('O') ?? 'unknown';
}

function readThrough(path: string): string {
  try {
    const found = readBounded(realpathSync(path), LARGEST_FILE);
    if ('refused' in found) throw unlike(path, found.refused);
    return found.text;
  } catch (cause) {
    throw cause instanceof PodserveError ? cause : unreadable(path, cause);
  }
}

function parsedIn(where: string, pem: string): X509Certificate[] {
  try {
    return parseCertificates(pem);
  } catch (error) {
    throw unlike(where, whyOf(error), error);
  }
}

function proven(where: string, key: string, certificates: readonly X509Certificate[]): Bundle {
  try {
    return parseBundle(key, certificates.map(pemOf).join(''));
  } catch (error) {
    throw unlike(where, whyOf(error), error);
  }
}

function unlike(where: string, why: string, cause?: unknown): PodserveError {
  return new PodserveError('BUNDLE_INVALID', 'they are no whole certificate', { where, why, cause });
}

function whyOf(error: unknown): string {
  return error instanceof PodserveError ? (error.why ?? error.message) : 'it cannot be read';
}
