import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

type Ending = Pick<TestContext, 'after'>;

/** An empty directory to mount on; unmounted before it is removed. */
function mountPoint(t: Ending): string {
  const directory = mkdtempSync(join(tmpdir(), 'podserve-mount-'));
  t.after(() => {
    unmount(directory);
    rmdirSync(directory);
  });
  return directory;
}

function unmount(path: string): void {
  execFileSync('umount', ['--lazy', path]);
}

/** Needs root, or a user namespace with its own mounts; gone when the test ends. */
export function smallDisk(t: Ending, size: string): string {
  const directory = mountPoint(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0755`, 'podserve-test', directory]);
  return directory;
}

/** A small tmpfs on a directory that is there. @returns what unmounts it, which the end of the test does too */
export function mountDisk(t: Ending, directory: string, size: string): () => void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0755`, 'podserve-test', directory]);
  return unmounting(t, directory);
}

/** One directory on another one. @returns what unmounts it, which the end of the test does too */
export function mountDirectory(t: Ending, source: string, directory: string): () => void {
  execFileSync('mount', ['--bind', source, directory]);
  return unmounting(t, directory);
}

function unmounting(t: Ending, directory: string): () => void {
  let mounted = true;
  const end = (): void => {
    if (mounted) unmount(directory);
    mounted = false;
  };
  t.after(end);
  return end;
}

/** The same directory at another path, read-only, as containers get it. */
export function readOnlyMount(t: Ending, source: string): string {
  const directory = mountPoint(t);
  execFileSync('mount', ['--bind', source, directory]);
  execFileSync('mount', ['-o', 'remount,bind,ro', directory]);
  return directory;
}

/** Makes a file a mount of its own while `work` is done, as when a container mounts single files. */
export async function whileMounted<T>(file: string, work: () => Promise<T>): Promise<T> {
  execFileSync('mount', ['--bind', file, file]);
  try {
    return await work();
  } finally {
    unmount(file);
  }
}

/** Does `work` with the rights of another user alone. The test must run as root. */
export async function asUser<T>(user: number, work: () => Promise<T>): Promise<T> {
  const { setegid, seteuid, setgroups, getgroups } = process;
  if (setegid === undefined || seteuid === undefined || setgroups === undefined || getgroups === undefined)
    throw new Error('no users here');
  const groups = getgroups();
  setgroups([]);
  setegid(user);
  seteuid(user);
  try {
    return await work();
  } finally {
    seteuid(0);
    setegid(0);
    setgroups(groups);
  }
}
