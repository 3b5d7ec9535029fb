import { statSync } from 'node:fs';
import { dirname } from 'node:path';

import type { Workers } from './daemon.ts';

/**
 * The first directory on the way to `path`, itself included, that the workers may not enter; undefined when they
 * may enter all, or when there is no such path yet. Apache started by root serves as another user, who for one may
 * not enter /root; requests then get 403, and nothing else says why.
 */
export function closedTo({ uid, gid }: Workers, path: string): string | undefined {
  const above = dirname(path);
  const closed = above === path ? undefined : closedTo({ user: '', uid, gid }, above);
  if (closed !== undefined) return closed;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) return undefined;
  const shift = stat.uid === uid ? 6 : stat.gid === gid ? 3 : 0;
  return ((stat.mode >> shift) & 0o1) === 0o1 ? undefined : path;
}
