import { CONFIG_FILE, FORMAT_FILE, PARTS } from './format.ts';

/** Why an archive's path must not be restored, or undefined. Paths are relative, plain and below what a backup holds. */
export function badPath(path: string): string | undefined {
  if (path.startsWith('/')) return 'it is absolute';
  if (/[\0\\]/.test(path)) return 'it has characters that no path of a backup has';
  const segments = path.split('/');
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) return 'it leads elsewhere';
  const [top = ''] = segments;
  if (segments.length === 1 && (top === FORMAT_FILE || top === CONFIG_FILE)) return undefined;
  return (PARTS as readonly string[]).includes(top) ? undefined : 'no backup holds such a path';
}

/**
 * Whether a link at `path` leads out of the part of the state directory that it lies in, or may do so: `..` counts only
 * at the beginning, where it starts from a real directory; behind another link it could lead anywhere.
 */
export function leadsOut(path: string, target: string): boolean {
  if (target === '' || target.startsWith('/') || /[\0\\]/.test(target)) return true;
  const segments = target.split('/');
  const down = segments.findIndex((segment) => segment !== '..');
  const up = down === -1 ? segments.length : down;
  // The link's own name and the part's are no directories to climb out of.
  return up > path.split('/').length - 2 || segments.slice(up).includes('..');
}
