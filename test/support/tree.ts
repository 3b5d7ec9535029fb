import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Every path below a directory with type, mode, owner, group and content: equal when nothing differs. Times are left out. */
export function treeOf(directory: string, leaveOut: RegExp = /$^/): Record<string, string> {
  const tree: Record<string, string> = {};
  const walk = (path: string): void => {
    for (const name of readdirSync(join(directory, path)).sort()) {
      const inner = path === '' ? name : `${path}/${name}`;
      if (leaveOut.test(inner)) continue;
      const place = join(directory, inner);
      const stat = lstatSync(place);
      const about = `${(stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid}`;
      if (stat.isSymbolicLink()) tree[inner] = `link to ${readlinkSync(place)}`;
      else if (stat.isDirectory()) tree[inner] = `directory ${about}`;
      else tree[inner] = `file ${about} ${createHash('sha256').update(readFileSync(place)).digest('hex').slice(0, 16)}`;
      if (stat.isDirectory()) walk(inner);
    }
  };
  walk('');
  return tree;
}
