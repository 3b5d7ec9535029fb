import { lstatSync } from 'node:fs';
import { dirname } from 'node:path';

import { PodserveError, messageOf, systemCode } from './errors.ts';

/** Why the system does not let this process read something, with the owner whose it is, and what to do about it. */
export interface Refusal {
  readonly why: string;
  readonly remedy: string;
}

/** @param path what was to be read, absolute */
export function refusalOf(path: string, error: unknown): Refusal {
  const code = systemCode(error);
  if (code !== 'EACCES' && code !== 'EPERM') {
    return { why: messageOf(error), remedy: 'see what is there, and after the disk that it is on' };
  }
  const user = process.geteuid?.() ?? '?';
  const barrier = barrierTo(path);
  const whose = barrier.path === path ? 'it' : barrier.path;
  return { why: `user ${user} may not (${code}); ${whose} belongs to user ${barrier.owner}`, remedy: `run it as user ${barrier.owner}` };
}

/** STATE_UNREADABLE for a system error met while reading a file of the state directory. */
export function unreadableState(what: string, file: string, cause: unknown): PodserveError {
  return new PodserveError('STATE_UNREADABLE', what, { where: file, ...refusalOf(file, cause), cause });
}

/** The path itself where its owner can be seen; the directory above it that lets nobody look otherwise. */
function barrierTo(path: string): { path: string; owner: number } {
  try {
    return { path, owner: lstatSync(path).uid };
  } catch (error) {
    if (path === '/') throw error;
    return barrierTo(dirname(path));
  }
}
