import { symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { describeError } from '../platform/errors.ts';
import { CURRENT, DEFAULT_NAME, FILES, certificateDirectory, plainTarget } from './layout.ts';
import { asideName, placeOf, replaceByLink, type Place } from './links.ts';
import { unwritable } from './trouble.ts';

export interface PlainOptions {
  /** ms since the epoch: names what is set aside. */
  readonly now: number;
  /** Files where links belong are being adopted: leave them for now. */
  readonly leaveFiles: boolean;
  /** What is in the certificate's directory. */
  readonly entries: readonly string[];
}

/**
 * Makes the plain names of a certificate lead through `..data`, for `default` also those at the top. Done before the
 * first generation is switched to: they dangle until then, and come true all at once. What is there and is no link
 * of ours is set aside; links that lead out of the publication are somebody else's and stay.
 * @returns whether anything was changed, by directory, and what the operator should know
 * @throws the system's error when a missing link could not be made
 */
export function makePlainNames(root: string, name: string, options: PlainOptions): { changed: string[]; warnings: string[] } {
  const directory = certificateDirectory(root, name);
  const links = Object.fromEntries(FILES.map((file) => [file, plainTarget(file)]));
  const sets: LinkSet[] = [{ directory, links, present: new Set(options.entries) }];
  // Linked last at the top is the way to the files: so nothing there is ever a link to nothing for long.
  if (name === DEFAULT_NAME) sets.push({ directory: root, links: { ...links, [CURRENT]: `${DEFAULT_NAME}/${CURRENT}` } });
  const changed: string[] = [];
  const warnings: string[] = [];
  for (const set of sets) {
    const result = makeLinks(set, root, options);
    if (result.changed) changed.push(set.directory);
    warnings.push(...result.warnings);
  }
  return { changed, warnings };
}

interface LinkSet {
  readonly directory: string;
  /** Link names to targets. */
  readonly links: Readonly<Record<string, string>>;
  /** The only names that are worth a look, where that is known. */
  readonly present?: ReadonlySet<string>;
}

function makeLinks(set: LinkSet, root: string, { now, leaveFiles }: PlainOptions): { changed: boolean; warnings: string[] } {
  const { directory, present } = set;
  const places = Object.entries(set.links).map(([file, target]) => {
    const place: Place = (present?.has(file) ?? true) ? placeOf(join(directory, file), target, root) : { is: 'missing' };
    return { file, target, place };
  });
  const outside = places.filter(({ place }) => place.is === 'outside');
  if (outside.length > 0) return { changed: false, warnings: [outsideWarning(directory, outside)] };
  const aside = asideName(directory, now);
  let changed = false;
  const warnings: string[] = [];
  for (const { file, target, place } of places) {
    if (place.is === 'link' || (leaveFiles && place.is !== 'missing')) continue;
    const path = join(directory, file);
    if (place.is === 'missing') symlinkSync(target, path);
    else warnings.push(setAside(path, target, file, aside));
    changed = true;
  }
  return { changed, warnings };
}

/** A plain name that cannot be mended stops no publication: who resolves `..data` is served all the same. */
function setAside(path: string, target: string, file: string, aside: string): string {
  try {
    replaceByLink(path, target, aside, file);
    return `${path} was no link of the publication: it was set aside as ${join(aside, file)} and replaced`;
  } catch (error) {
    return describeError(unwritable('a plain name of the publication is taken and could not be set aside', path, error));
  }
}

/** One line about links that lead out of the publication. */
export function outsideWarning(directory: string, links: readonly { file: string; place: Place }[]): string {
  const shown = links.map(({ file, place }) => ('target' in place ? `${file} -> ${place.target}` : file)).join(', ');
  return (
    `links in ${directory} lead out of the publication and were left as they are: ${shown}; to take these certificates over, run: ` +
    'podserve import certbot DIR; to let the published one have these names, remove the links'
  );
}
