import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Reachable extends Disposable {
  /** The checkout, by a path that every user may walk. */
  readonly path: string;
}

const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups'];

/**
 * Some tests run the program as another user, who cannot reach a checkout in root's home. It is then mounted a
 * second time, where he can. The mount point is taken away with rmdir alone, which cannot hurt what is mounted.
 */
export function reachableCheckout(checkout: string): Reachable {
  const asRoot = process.getuid?.() === 0;
  if (!asRoot || spawnSync('setpriv', [...NOBODY, 'test', '-r', join(checkout, 'bin/podserve')]).status === 0) {
    return { path: checkout, [Symbol.dispose]: () => undefined };
  }
  const parent = mkdtempSync(join(tmpdir(), 'pc'));
  chmodSync(parent, 0o755);
  const path = join(parent, 'podserve');
  mkdirSync(path);
  const { status, stderr } = spawnSync('mount', ['--bind', checkout, path], { encoding: 'utf8' });
  const drop = (): void => {
    rmdirSync(path);
    rmdirSync(parent);
  };
  if (status !== 0) {
    drop();
    throw new Error(
      `other users cannot reach ${checkout}, and it cannot be mounted elsewhere: ${stderr.trim()}; clone it below /srv or /tmp`,
    );
  }
  return {
    path,
    [Symbol.dispose]() {
      spawnSync('umount', ['--lazy', path]);
      drop();
    },
  };
}
