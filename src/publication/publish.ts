import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

import { fullchainPem, leafSha256, parseBundle, uncovered, type Bundle } from '../certificate/bundle.ts';
import { generationDirectory, generationNumber, type Manifest } from '../certificate/generation.ts';
import type { Identifier } from '../certificate/identifier.ts';
import { CERTIFICATE_NAME } from '../certificate/spec.ts';
import { PodserveError, describeError } from '../platform/errors.ts';
import { isTemporary, syncDirectory, temporaryName } from '../platform/files.ts';
import { CURRENT, certificateDirectory, currentLink } from './layout.ts';
import { asideName } from './links.ts';
import type { PublicationLock } from './lock.ts';
import { manifestOf, type Provenance } from './manifest.ts';
import { makePlainNames } from './plain.ts';
import { generationsIn, readGeneration } from './read.ts';
import { removable, type Kept } from './retention.ts';
import { stage } from './stage.ts';
import { isFull, unwritable } from './trouble.ts';

export interface PublishRequest extends Provenance {
  readonly bundle: Bundle;
  /** The group that may read keys. */
  readonly keyGid: number;
  /** What the leaf must speak for; not asked when left out. */
  readonly identifiers?: readonly Identifier[];
}

export interface Published {
  readonly manifest: Manifest;
  /** One line each: what the operator should know. */
  readonly warnings: readonly string[];
}

/**
 * Publishes a bundle: proves it, stages it as the next generation, and switches `..data` to it with one rename. At
 * every instant, kill and power cut included, `..data` leads to one complete generation that is on the disk. Then
 * removes generations that nobody can still be reading, and before that what a killed publisher left behind.
 * Different names may be published at the same time under one lock; one name only once at a time.
 * @throws PodserveError BUNDLE_INVALID, PUBLICATION_UNWRITABLE; what was published before is still published then
 */
export async function publish(lock: PublicationLock, request: PublishRequest): Promise<Published> {
  return publishGeneration(lock, request, false);
}

/** `publish`, for adoption with plain files left where they are until they can be replaced by links. */
export async function publishGeneration(lock: PublicationLock, request: PublishRequest, leaveFiles: boolean): Promise<Published> {
  const { name, now } = request;
  prove(request);
  const directory = certificateDirectory(lock.root, name);
  const doing = `${name} could not be published`;
  try {
    return await attempt(lock.root, request, leaveFiles);
  } catch (error) {
    if (!isFull(error)) throw unwritable(doing, directory, error);
    if ((await makeRoom(directory, now)) === 0) throw unwritable(doing, directory, error);
  }
  try {
    return await attempt(lock.root, request, leaveFiles);
  } catch (error) {
    throw unwritable(doing, directory, error);
  }
}

/**
 * Switches `..data` back to a generation that is still kept, after proving it.
 * @throws PodserveError BUNDLE_INVALID, PUBLICATION_UNREADABLE, PUBLICATION_UNWRITABLE, PUBLICATION_NEWER
 */
export async function restoreGeneration(lock: PublicationLock, name: string, generation: number, now: number): Promise<Manifest> {
  const directory = certificateDirectory(lock.root, name);
  const { manifest } = await readGeneration(join(directory, generationDirectory(generation)));
  try {
    const link = stageLink(directory, generation);
    await syncDirectory(directory);
    switchTo(directory, link, now);
    await syncDirectory(directory);
  } catch (error) {
    throw unwritable(`${name} could not go back to generation ${generation}`, directory, error);
  }
  return manifest;
}

async function attempt(root: string, request: PublishRequest, leaveFiles: boolean): Promise<Published> {
  const { name, now, bundle, keyGid } = request;
  const directory = certificateDirectory(root, name);
  const made = makeDirectory(directory);
  const entries = made ? [] : readdirSync(directory);
  for (const entry of entries) if (isTemporary(entry)) rmSync(join(directory, entry), { recursive: true, force: true });

  const numbers = generationsIn(entries);
  // Also above one that is gone: who compares links would not notice a new generation under the old one's name.
  const number = Math.max(numbers[0] ?? 0, generationNumber(currentLink(directory, '.') ?? '') ?? 0) + 1;
  const manifest = manifestOf(bundle, number, request);
  const generation = join(directory, generationDirectory(number));
  const staged = temporaryName(generation);
  const grouped = await stage(staged, bundle, manifest, keyGid);
  const plain = makePlainNames(root, name, { now, leaveFiles, entries });
  const link = stageLink(directory, number);
  renameSync(staged, generation);
  // Names must be on the disk before something that is on the disk leads to them.
  await Promise.all([...new Set([directory, ...plain.changed, ...(made ? [root] : [])])].map(syncDirectory));
  const warnings = [...plain.warnings, ...switchTo(directory, link, now)];
  await syncDirectory(directory);
  if (!grouped) warnings.push(groupWarning(keyGid));
  try {
    await removeOld(directory, [number, ...numbers], now, false);
  } catch (error) {
    warnings.push(describeError(unwritable(`an old generation of ${name} could not be removed`, directory, error)));
  }
  return { manifest, warnings };
}

/** What is wrong with a bundle is found here at the latest, on the text that readers will get. */
function prove({ name, bundle, origin, now, identifiers = [] }: PublishRequest): void {
  const refused = (why: string, cause?: unknown): PodserveError =>
    new PodserveError('BUNDLE_INVALID', `the new certificate for ${name} was not published`, {
      why,
      remedy: 'what was published before stays; look at the issuer',
      cause,
    });
  if (!CERTIFICATE_NAME.test(name)) {
    throw new PodserveError('CONFIG_INVALID', 'this cannot be the name of a certificate', {
      where: JSON.stringify(name),
      why: 'it is also the name of a directory',
      remedy: 'use at most 63 small letters, digits and hyphens',
    });
  }
  try {
    const { leaf } = parseBundle(bundle.privateKeyPem, fullchainPem(bundle));
    if (leafSha256(leaf) !== leafSha256(bundle.leaf)) throw refused('its text and its leaf are not the same certificate');
  } catch (error) {
    throw error instanceof PodserveError && error.why !== undefined ? refused(error.why, error) : error;
  }
  const missing = uncovered(bundle.leaf, identifiers);
  if (missing.length > 0) throw refused(`it does not cover ${missing.join(', ')}`);
  if (origin === 'issued' && bundle.leaf.validToDate.getTime() <= now) throw refused('it has expired already');
}

/** Makes the directory, or gives one that readers could not enter its mode back. @returns whether it did not exist */
function makeDirectory(directory: string): boolean {
  const stat = lstatSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) mkdirSync(directory, 0o755);
  else if (!stat.isDirectory()) {
    // A link would let whoever made it choose where keys are written.
    throw new PodserveError('PUBLICATION_UNWRITABLE', 'a certificate could not be published', {
      where: directory,
      why: stat.isSymbolicLink() ? 'it is a link where a directory belongs' : 'there is a file where a directory belongs',
      remedy: 'move it away, then run it again',
    });
  }
  if (stat === undefined || (stat.isDirectory() && (stat.mode & 0o7777) !== 0o755)) chmodSync(directory, 0o755);
  return stat === undefined;
}

/** The link to a generation, under another name than `..data` until it is switched to. */
function stageLink(directory: string, number: number): string {
  const link = temporaryName(join(directory, CURRENT));
  symlinkSync(generationDirectory(number), link);
  return link;
}

/** The moment of publication. Before it, the generation that ends gets its end written down, as its modification time. */
function switchTo(directory: string, link: string, now: number): string[] {
  const path = join(directory, CURRENT);
  const warnings: string[] = [];
  const before = currentLink(directory, '.');
  if (before === '!EINVAL') {
    const aside = asideName(directory, now);
    renameSync(path, aside);
    warnings.push(`${path} was no link: it was set aside as ${aside} and replaced`);
  } else if (before !== undefined && generationNumber(before) !== undefined) {
    setTime(join(directory, before), now);
  }
  renameSync(link, path);
  // One watch on the publication hears this of every certificate in it.
  setTime(directory, now);
  return warnings;
}

function setTime(directory: string, now: number): void {
  try {
    utimesSync(directory, now / 1000, now / 1000);
  } catch {
    // Missing, or not ours. A generation that is not ours cannot be removed by us either; for news there is the poll.
  }
}

async function makeRoom(directory: string, now: number): Promise<number> {
  try {
    return await removeOld(directory, generationsIn(readdirSync(directory)), now, true);
  } catch {
    // What was wrong in the first place is reported.
    return 0;
  }
}

/** @returns how many were removed */
async function removeOld(directory: string, numbers: readonly number[], now: number, urgent: boolean): Promise<number> {
  const current = generationNumber(currentLink(directory, '.') ?? '');
  // Nothing is known of what readers hold while it is not known where they are led.
  if (current === undefined) return 0;
  const path = (number: number): string => join(directory, generationDirectory(number));
  const kept: Kept[] = numbers.map((number) => ({ number, endedAt: lstatSync(path(number)).mtimeMs }));
  const terms = { current, lastGood: undefined, now, urgent };
  if (removable(kept, terms).length === 0) return 0;
  const lastGood = await newestGood(numbers.filter((number) => number < current).map(path));
  const old = removable(kept, { ...terms, lastGood });
  for (const number of old) {
    // In one step out of sight, so that no reader of kept generations meets half of one.
    const gone = temporaryName(path(number));
    renameSync(path(number), gone);
    rmSync(gone, { recursive: true, force: true });
  }
  return old.length;
}

async function newestGood(generations: readonly string[]): Promise<number | undefined> {
  for (const generation of generations) {
    try {
      return (await readGeneration(generation)).number;
    } catch {
      // Damaged: nothing to go back to.
    }
  }
  return undefined;
}

function groupWarning(keyGid: number): string {
  const user = process.geteuid?.() ?? '?';
  return (
    `this process may not give keys to group ${keyGid}: they are readable by user ${user} alone, and services that run as ` +
    'another user cannot read them; run it as root or as a member of that group, or set CERT_KEY_GID to a group that it is in'
  );
}
