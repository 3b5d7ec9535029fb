import { spawn } from 'node:child_process';
import { constants, accessSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { PodserveError, systemCode } from '../errors.ts';

/** Where programs are looked for: the caller's PATH and the places for administration, which ordinary users' lack. */
export function searchPath(path: string | undefined): string {
  return [path, '/usr/local/sbin', '/usr/sbin', '/sbin'].filter(Boolean).join(delimiter);
}

/** Whether one of the programs is in the path. */
export function installed(path: string, ...programs: readonly string[]): boolean {
  return path.split(delimiter).some((directory) => programs.some((program) => executable(join(directory, program))));
}

export interface ProgramCall {
  readonly path: string;
  readonly input?: string;
  /** The Debian package that has the program, for the message where it is missing. */
  readonly debianPackage: string;
}

/**
 * Runs a program of a trust store to its end.
 * @returns its standard output
 * @throws PodserveError TRUST_STORE_FAILED when it is missing or fails
 */
export async function runProgram(program: string, args: readonly string[], call: ProgramCall): Promise<string> {
  const child = spawn(program, args, { env: { PATH: call.path, LC_ALL: 'C.UTF-8' }, stdio: ['pipe', 'pipe', 'pipe'] });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(call.input ?? '');
  child.once('error', reject);
  child.once('close', resolve);
  let code: number | null;
  try {
    code = await promise;
  } catch (cause) {
    if (systemCode(cause) !== 'ENOENT') throw failed(program, 'it could not be started', undefined, cause);
    throw failed(program, 'it is not installed', `install the package ${call.debianPackage}, then run this again`, cause);
  }
  if (code !== 0) throw failed(program, stderr.trim() || stdout.trim() || `it ended with ${code}`, undefined, undefined);
  return stdout;
}

function failed(program: string, why: string, remedy: string | undefined, cause: unknown): PodserveError {
  return new PodserveError('TRUST_STORE_FAILED', `${program} did not do its work`, {
    why,
    ...(remedy === undefined ? {} : { remedy }),
    cause,
  });
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
