import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';

import { parseBundle, parseCertificates, type Bundle } from '../certificate/bundle.ts';
import { generationNumber, type Manifest } from '../certificate/generation.ts';
import { PodserveError, systemCode } from '../platform/errors.ts';
import { readBounded } from '../platform/files.ts';
import { CURRENT, certificateDirectory, type PublishedFile } from './layout.ts';
import { disagreement, parseManifest } from './manifest.ts';
import { damaged, misplaced, unreadable } from './trouble.ts';

/** A published generation, read and proven: key, leaf, chain, manifest and all files agree. Dates are not judged. */
export interface Generation {
  readonly number: number;
  /** Where its files are; they do not change, and stay for at least an hour after it stopped being current. */
  readonly directory: string;
  readonly manifest: Manifest;
  readonly bundle: Bundle;
}

const LARGEST_FILE = 1024 * 1024;
/** How often the generation may be replaced and removed under our hands before that is an error. */
const TRIES = 3;

/**
 * Reads what is published under `name`, resolving `..data` once; undefined when nothing ever was.
 * @throws PodserveError BUNDLE_INVALID, PUBLICATION_UNREADABLE, PUBLICATION_NEWER
 */
export async function readCurrent(root: string, name: string): Promise<Generation | undefined> {
  const directory = certificateDirectory(root, name);
  let link = resolveCurrent(directory);
  for (let left = TRIES; link !== undefined; left -= 1) {
    try {
      return await readGeneration(join(directory, link));
    } catch (error) {
      const now = resolveCurrent(directory);
      if (left === 0 || now === link) throw error;
      link = now;
    }
  }
  return undefined;
}

/**
 * Reads one generation's directory.
 * @throws PodserveError BUNDLE_INVALID, PUBLICATION_UNREADABLE, PUBLICATION_NEWER
 */
export async function readGeneration(directory: string): Promise<Generation> {
  // The rest is quick and does not wait; who reads ten thousand must not keep everything else from running.
  await turn();
  checkDirectory(directory);
  const manifestFile = join(directory, 'manifest.json');
  const manifest = parseManifest(readPublished(directory, 'manifest.json'), manifestFile);
  const number = generationNumber(basename(directory)) ?? manifest.generation;
  if (manifest.generation !== number) throw damaged(manifestFile, `it is about generation ${manifest.generation}`);
  const bundle = readBundle(directory);
  const field = disagreement(manifest, bundle);
  if (field !== undefined) throw damaged(manifestFile, `it is about another certificate than cert.pem (${field} differs)`);
  return { number, directory, manifest, bundle };
}

/**
 * The numbers of the generations that are there, the current one included, newest first; none where nothing was
 * ever published. They may be damaged.
 * @throws PodserveError PUBLICATION_UNREADABLE
 */
export async function keptGenerations(root: string, name: string): Promise<number[]> {
  const directory = certificateDirectory(root, name);
  try {
    return generationsIn(readdirSync(directory));
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return [];
    throw unreadable(directory, cause);
  }
}

/** The generations among a directory's entries, newest first. */
export function generationsIn(entries: readonly string[]): number[] {
  return entries
    .map(generationNumber)
    .filter((number) => number !== undefined)
    .sort((a, b) => b - a);
}

/**
 * Where `..data` of a certificate's directory leads: a generation's directory name, or undefined when there is none.
 * @throws PodserveError PUBLICATION_UNREADABLE when it leads anywhere else
 */
function resolveCurrent(directory: string): string | undefined {
  const path = join(directory, CURRENT);
  let target: string;
  try {
    target = readlinkSync(path);
  } catch (cause) {
    const code = systemCode(cause);
    if (code === 'ENOENT') return undefined;
    if (code === 'EINVAL') throw misplaced(path, 'it is a file or directory where a link belongs');
    throw unreadable(path, cause);
  }
  if (generationNumber(target) === undefined) throw misplaced(path, `it leads to ${JSON.stringify(target)}, which is no generation`);
  return target;
}

function checkDirectory(directory: string): void {
  try {
    if (!lstatSync(directory).isDirectory()) throw misplaced(directory, 'it is a file or link where a directory belongs');
  } catch (cause) {
    throw cause instanceof PodserveError ? cause : unreadable(directory, cause);
  }
}

function readPublished(directory: string, file: PublishedFile): string {
  const path = join(directory, file);
  try {
    const found = readBounded(path, LARGEST_FILE);
    if ('refused' in found) throw misplaced(path, found.refused);
    return found.text;
  } catch (cause) {
    throw cause instanceof PodserveError ? cause : unreadable(path, cause);
  }
}

function readBundle(directory: string): Bundle {
  const [key, leaf, chain] = (['privkey.pem', 'cert.pem', 'chain.pem'] as const).map((file) => readPublished(directory, file)) as [
    string,
    string,
    string,
  ];
  const fullchain = readPublished(directory, 'fullchain.pem');
  const combined = readPublished(directory, 'combined.pem');
  let bundle: Bundle;
  try {
    bundle = parseBundle(key, leaf + chain);
  } catch (error) {
    throw blame(directory, leaf, chain, error);
  }
  if (parseCertificates(leaf).length !== 1) throw damaged(join(directory, 'cert.pem'), 'there is more than one certificate in it');
  if (chain !== '' && bundle.chain.length === 0 && parseCertificates(chain).length === 0) {
    throw damaged(join(directory, 'chain.pem'), 'there is no certificate in it');
  }
  if (fullchain !== leaf + chain) throw damaged(join(directory, 'fullchain.pem'), 'it is not cert.pem followed by chain.pem');
  if (combined !== key + fullchain) throw damaged(join(directory, 'combined.pem'), 'it is not privkey.pem followed by fullchain.pem');
  return bundle;
}

/** Names the file that a bundle fails on: certificates first, since a key can only be judged against one. */
function blame(directory: string, leaf: string, chain: string, error: unknown): PodserveError {
  for (const [file, text] of Object.entries({ 'cert.pem': leaf, 'chain.pem': chain })) {
    try {
      if (parseCertificates(text).length === 0 && file === 'cert.pem') {
        return damaged(join(directory, file), text === '' ? 'it is empty' : 'there is no certificate in it');
      }
    } catch (cause) {
      return damaged(join(directory, file), whyOf(cause), cause);
    }
  }
  const why = whyOf(error);
  return damaged(join(directory, why.includes('key') ? 'privkey.pem' : 'chain.pem'), why, error);
}

function whyOf(error: unknown): string {
  return error instanceof PodserveError ? (error.why ?? error.message) : 'it cannot be read';
}
