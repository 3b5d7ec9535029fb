import { linkSync, lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

import { systemCode } from '../platform/errors.ts';
import { temporaryName } from '../platform/files.ts';

/** What is at a place where one of our links belongs. */
export type Place =
  | { readonly is: 'link' | 'missing' | 'file' | 'other' }
  /** A link to somewhere else, in the publication or out of it. */
  | { readonly is: 'inside' | 'outside'; readonly target: string };

/** @throws the system's error */
export function placeOf(path: string, target: string, root: string): Place {
  let found: string;
  try {
    found = readlinkSync(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { is: 'missing' };
    if (systemCode(error) !== 'EINVAL') throw error;
    return { is: lstatSync(path).isFile() ? 'file' : 'other' };
  }
  if (found === target) return { is: 'link' };
  const leads = relative(root, resolve(dirname(path), found));
  return { is: leads === '..' || leads.startsWith('../') ? 'outside' : 'inside', target: found };
}

/** Puts a link to `target` where `path` is; who opens `path` meets the old or the new, never nothing. */
function putLink(path: string, target: string): void {
  const temporary = temporaryName(path);
  symlinkSync(target, temporary);
  try {
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * Moves what is at `path` into the directory `aside` and puts a link in its place. A file keeps its content, mode and
 * owner, and is never missing at `path`; only a directory is, for the moment between two renames.
 */
export function replaceByLink(path: string, target: string, aside: string, name: string): void {
  mkdirSync(aside, { recursive: true, mode: 0o700 });
  const kept = freeName(join(aside, name), path);
  if (lstatSync(path).isDirectory()) {
    renameSync(path, kept);
    symlinkSync(target, path);
    return;
  }
  if (lstatSync(kept, { throwIfNoEntry: false }) === undefined) linkSync(path, kept);
  putLink(path, target);
}

/** `kept`, or with a number where another file has that name; the same file is not kept twice. */
function freeName(kept: string, path: string): string {
  const { ino, dev } = lstatSync(path);
  for (let again = 1; ; again += 1) {
    const candidate = again === 1 ? kept : `${kept}.${again}`;
    const there = lstatSync(candidate, { throwIfNoEntry: false });
    if (there === undefined || (there.ino === ino && there.dev === dev)) return candidate;
  }
}

/** A directory that is not there yet, for what is set aside at `now` (ms since the epoch). */
export function asideName(directory: string, now: number): string {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  for (let again = 1; ; again += 1) {
    const candidate = join(directory, `..set-aside-${stamp}${again === 1 ? '' : `-${again}`}`);
    if (lstatSync(candidate, { throwIfNoEntry: false }) === undefined) return candidate;
  }
}
