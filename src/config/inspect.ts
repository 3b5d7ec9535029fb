import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, resolve } from 'node:path';

import { systemCode } from '../platform/errors.ts';
import type { Config } from './config.ts';

/** What is wrong with the program of `onEvent`, in one line, or undefined. */
export async function inspectOnEvent(onEvent: Config['onEvent'], path: string | undefined): Promise<string | undefined> {
  if (onEvent === undefined) return undefined;
  const { exec } = onEvent;
  const why = await troubleWithProgram(exec, path);
  if (why === undefined) return undefined;
  const remedy = /\s/.test(exec)
    ? 'exec takes one program without arguments: write a small script'
    : 'nobody will be told of events until it is there';
  return `onEvent.exec: ${exec} cannot be called: ${why}; ${remedy}`;
}

/** One line for each directory of a site that is not there. */
export async function inspectSites(sites: Config['apache']['sites']): Promise<string[]> {
  const lines = await Promise.all(
    sites.map(async ({ root }, index) => {
      if (root === undefined || (await isDirectory(root))) return undefined;
      return `apache.sites[${index}].root: ${root} is no directory here: the site will answer 403 or 404`;
    }),
  );
  return lines.filter((line) => line !== undefined);
}

const MISSING = 'there is no such file';

/** Why a program cannot be called, or undefined. @param path `PATH`, where a bare name is looked for */
export async function troubleWithProgram(exec: string, path: string | undefined): Promise<string | undefined> {
  if (exec.includes('/')) return troubleWithFile(exec);
  const places = (path ?? '').split(delimiter).map((directory) => resolve(directory, exec));
  const found = await Promise.all(places.map(troubleWithFile));
  if (found.includes(undefined)) return undefined;
  return found.find((trouble) => trouble !== MISSING) ?? 'it is not in PATH';
}

async function troubleWithFile(file: string): Promise<string | undefined> {
  try {
    if (!(await stat(file)).isFile()) return 'it is not a file';
    await access(file, constants.X_OK);
    return undefined;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EACCES') return 'this user may not execute it (chmod +x makes it a program)';
    return code === 'ENOENT' || code === 'ENOTDIR' ? MISSING : String(code);
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
