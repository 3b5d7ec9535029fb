import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, resolve } from 'node:path';

import { systemCode } from '../platform/errors.ts';
import type { AcmeIssuerConfig, Config } from './config.ts';
import { formatPath } from './problem.ts';

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

/** One line for each file, directory and program of an issuer that is not there or may not be used. */
export async function inspectIssuers(issuers: Config['issuers'], path: string | undefined): Promise<string[]> {
  const lines = await Promise.all(
    Object.values(issuers)
      .flatMap((issuer) => usedBy(issuer, path))
      .map(async ({ key, issuer, is, trouble }) => {
        const why = await trouble;
        return why === undefined ? undefined : `${formatPath(['issuers', issuer, ...key])}: ${is} cannot be used here: ${why}`;
      }),
  );
  return lines.filter((line) => line !== undefined);
}

interface Used {
  readonly issuer: string;
  readonly key: readonly string[];
  readonly is: string;
  /** What is wrong with it, or undefined. */
  readonly trouble: Promise<string | undefined>;
}

function usedBy({ name, caFile, eab, challenge }: AcmeIssuerConfig, path: string | undefined): Used[] {
  const used: Used[] = [];
  const add = (key: readonly string[], is: string, trouble: Promise<string | undefined>): void => {
    used.push({ issuer: name, key, is, trouble });
  };
  if (caFile !== undefined) add(['caFile'], caFile, troubleWithReading(caFile));
  if (eab !== undefined) add(['eab', 'hmacFile'], eab.hmacFile, troubleWithReading(eab.hmacFile));
  if (challenge.via === 'update') add(['dns01', 'tsigKeyFile'], challenge.tsigKeyFile, troubleWithReading(challenge.tsigKeyFile));
  if (challenge.via === 'exec') add(['dns01', 'exec'], challenge.exec, troubleWithProgram(challenge.exec, path));
  if (challenge.via === 'webroot' && challenge.webroot !== undefined) {
    add(['http01', 'webroot'], challenge.webroot, troubleWithWriting(challenge.webroot));
  }
  return used;
}

async function troubleWithReading(file: string): Promise<string | undefined> {
  try {
    if (!(await stat(file)).isFile()) return 'it is not a file';
    await access(file, constants.R_OK);
    return undefined;
  } catch (error) {
    return whyNot(error, MISSING, 'read it');
  }
}

async function troubleWithWriting(directory: string): Promise<string | undefined> {
  try {
    if (!(await stat(directory)).isDirectory()) return 'it is no directory';
    await access(directory, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return whyNot(error, 'there is no such directory', 'write into it');
  }
}

function whyNot(error: unknown, missing: string, what: string): string {
  const code = systemCode(error);
  if (code === 'EACCES') return `user ${process.geteuid?.()} may not ${what}`;
  return code === 'ENOENT' || code === 'ENOTDIR' ? missing : String(code);
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
