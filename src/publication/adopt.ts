import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { leafSha256, type Bundle } from '../certificate/bundle.ts';
import type { Manifest, Publisher } from '../certificate/generation.ts';
import { PodserveError, describeError } from '../platform/errors.ts';
import { syncDirectory } from '../platform/files.ts';
import { findPlain, issuerName, readPlain, type PlainFiles } from './hand-made.ts';
import { DEFAULT_NAME, certificateDirectory, plainTarget } from './layout.ts';
import { replaceByLink } from './links.ts';
import type { PublicationLock } from './lock.ts';
import { makePlainNames, outsideWarning } from './plain.ts';
import { publishGeneration } from './publish.ts';
import { readCurrent, type Generation } from './read.ts';
import { unwritable } from './trouble.ts';

export interface AdoptOptions {
  /** ms since the epoch */
  readonly now: number;
  readonly keyGid: number;
  readonly publisher: Publisher;
}

export interface Adoption {
  /** Of what is published now, when files were adopted; undefined when there was nothing to adopt. */
  readonly manifest: Manifest | undefined;
  /** One line each: what was adopted and where the originals are, what could not be and why. */
  readonly warnings: readonly string[];
}

/** Whether files of a hand-made setup are where links of the publication belong. Changes nothing. */
export async function findPlainFiles(root: string, name: string): Promise<boolean> {
  try {
    return placesOf(root, name).some((directory) => findPlain(directory, root).files.length > 0);
  } catch {
    // Whatever hinders a look hinders reading and publishing too, and is reported there.
    return false;
  }
}

/**
 * Takes over a hand-made setup: plain files where links of the publication belong, for `default` also at its top.
 * A pair that proves whole becomes a generation; only then is each file replaced by a link to the same content, so
 * that the names lead to a matching pair at every moment. The originals stay in `..adopted-<generation>`, untouched.
 * A kill at any point is made good by the next call. What is no whole pair is reported, and set aside as soon as
 * something good is published. Links that lead out of the publication are reported and left.
 * @throws PodserveError PUBLICATION_UNWRITABLE
 */
export async function adopt(lock: PublicationLock, name: string, options: AdoptOptions): Promise<Adoption> {
  const { root } = lock;
  const warnings: string[] = [];
  const pairs: { files: PlainFiles; bundle: Bundle }[] = [];
  for (const directory of placesOf(root, name)) {
    try {
      const files = findPlain(directory, root);
      if (files.outside.length > 0) warnings.push(outsideWarning(directory, files.outside));
      else if (files.files.length > 0) pairs.push({ files, bundle: readPlain(files) });
    } catch (error) {
      warnings.push(unusable(directory, error));
    }
  }
  pairs.sort((a, b) => a.bundle.leaf.validFromDate.getTime() - b.bundle.leaf.validFromDate.getTime());
  let manifest: Manifest | undefined;
  for (const { files, bundle } of pairs) {
    const current = await goodCurrent(root, name);
    if (current !== undefined && !replaces(bundle, current)) {
      warnings.push(`the files in ${files.directory} are older than what is published as ${name}: they were left as they are`);
      continue;
    }
    manifest =
      current !== undefined && sameLeaf(bundle, current) ? current.manifest : await publishAdopted(lock, name, bundle, options, warnings);
    warnings.push(...(await keepOriginals(root, name, files, manifest.generation)));
  }
  warnings.push(...(await mendPlainNames(root, name, options.now)));
  return { manifest, warnings: [...new Set(warnings)] };
}

/** Beside something good, what could not be adopted hinders readers of plain names: it is set aside at once. */
async function mendPlainNames(root: string, name: string, now: number): Promise<readonly string[]> {
  if ((await goodCurrent(root, name)) === undefined) return [];
  try {
    const directory = certificateDirectory(root, name);
    const { changed, warnings } = makePlainNames(root, name, { now, leaveFiles: false, entries: readdirSync(directory) });
    for (const one of changed) await syncDirectory(one);
    return warnings;
  } catch (error) {
    throw unwritable(`the plain names of ${name} could not be mended`, certificateDirectory(root, name), error);
  }
}

function placesOf(root: string, name: string): string[] {
  const directories = [certificateDirectory(root, name), ...(name === DEFAULT_NAME ? [root] : [])];
  return directories.filter((directory) => lstatSync(directory, { throwIfNoEntry: false }) !== undefined);
}

async function publishAdopted(
  lock: PublicationLock,
  name: string,
  bundle: Bundle,
  options: AdoptOptions,
  warnings: string[],
): Promise<Manifest> {
  const request = { name, bundle, issuer: issuerName(bundle.leaf), origin: 'adopted', placeholder: false, ...options } as const;
  const published = await publishGeneration(lock, request, true);
  warnings.push(...published.warnings);
  return published.manifest;
}

/** Content first, links after: whatever mix of file and link a reader meets, it is the same pair. */
async function keepOriginals(root: string, name: string, plain: PlainFiles, generation: number): Promise<string[]> {
  const aside = join(certificateDirectory(root, name), `..adopted-${generation}`);
  const warnings: string[] = [];
  const kept: string[] = [];
  for (const file of plain.files) {
    const path = join(plain.directory, file);
    try {
      replaceByLink(path, plainTarget(file), aside, file);
      kept.push(file);
    } catch (error) {
      const line = describeError(unwritable('an adopted file could not be replaced by a link', path, error));
      warnings.push(`${line}; until it is, it does not follow renewals`);
    }
  }
  for (const directory of [aside, plain.directory, certificateDirectory(root, name)]) await syncDirectory(directory).catch(() => undefined);
  if (kept.length > 0) {
    warnings.push(
      `${kept.join(', ')} in ${plain.directory} were adopted as generation ${generation} of ${name}; the originals are in ${aside}`,
    );
  }
  return warnings;
}

async function goodCurrent(root: string, name: string): Promise<Generation | undefined> {
  try {
    return await readCurrent(root, name);
  } catch (error) {
    if (error instanceof PodserveError && error.code === 'PUBLICATION_NEWER') throw error;
    return undefined;
  }
}

function sameLeaf(bundle: Bundle, current: Generation): boolean {
  return leafSha256(bundle.leaf) === current.manifest.leafSha256;
}

function replaces(bundle: Bundle, current: Generation): boolean {
  return bundle.leaf.validFromDate >= current.bundle.leaf.validFromDate;
}

function unusable(directory: string, error: unknown): string {
  const why = describeError(error);
  return `the files in ${directory} were not adopted: ${why}; they are set aside, not lost, once a good certificate is published`;
}
