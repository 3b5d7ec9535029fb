import {
  closeSync,
  constants,
  fchmodSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import type { ChallengeConfig } from '../config/config.ts';
import { DAY } from '../platform/clock.ts';
import { PodserveError, messageOf, systemCode } from '../platform/errors.ts';
import { isTemporary, makeDirectories, readBounded, temporaryName } from '../platform/files.ts';
import { refusalOf } from '../platform/unreadable.ts';
import type { ChallengeSolver, SolverSurroundings } from './solver.ts';
import { CHALLENGE_PATH, checkedToken, isToken } from './token.ts';

type WebrootConfig = Extract<ChallengeConfig, { via: 'webroot' }>;
type Surroundings = Pick<SolverSurroundings, 'challengesDirectory' | 'clock' | 'log'>;

/** More than any key authorization has. */
const LARGEST_ANSWER = 1024;
/** No order takes as long; what is older was left by a process that was killed. */
const STALE = DAY;

interface Answer {
  readonly keyAuthorization: string;
  uses: number;
}

/**
 * http-01 (RFC 8555 §8.3) by files that a web server serves: directly in the challenges volume, which is Apache's
 * /.well-known/acme-challenge/, or below that path in a webroot of the operator's.
 */
export function webrootSolver({ webroot }: WebrootConfig, { challengesDirectory, clock, log }: Surroundings): ChallengeSolver {
  const directory = webroot === undefined ? challengesDirectory : join(webroot, CHALLENGE_PATH);
  const answers = new Map<string, Answer>();
  if (webroot === undefined) {
    const removed = removeStale(directory, clock.now() - STALE);
    if (removed > 0) log.info({ directory, removed }, 'removed tokens of challenges that were given up');
  }

  function cleanup(token: string, keyAuthorization: string): void {
    const answer = answers.get(token);
    if (answer !== undefined) answer.uses -= 1;
    if (answer !== undefined && answer.uses > 0) return;
    answers.delete(token);
    const file = join(directory, token);
    try {
      removeAnswer(file, keyAuthorization);
    } catch (cause) {
      throw failure('the token of a challenge cannot be removed', file, webroot, cause);
    }
  }

  return {
    type: 'http-01',
    async present(task, signal) {
      signal.throwIfAborted();
      const token = checkedToken(task.token);
      const file = join(directory, token);
      try {
        makeServedDirectory(directory, webroot);
        putAnswer(file, task.keyAuthorization);
      } catch (cause) {
        throw failure('the token of a challenge cannot be written', file, webroot, cause);
      }
      const answer = answers.get(token) ?? { keyAuthorization: task.keyAuthorization, uses: 0 };
      answer.uses += 1;
      answers.set(token, answer);
    },
    async cleanup(task) {
      if (isToken(task.token)) cleanup(task.token, task.keyAuthorization);
    },
    async [Symbol.asyncDispose]() {
      for (const [token, answer] of answers) {
        answer.uses = 1;
        cleanup(token, answer.keyAuthorization);
      }
    },
  };
}

/** A webroot that is missing is a mistake in its path, and is not made. */
function makeServedDirectory(directory: string, webroot: string | undefined): void {
  if (webroot === undefined) return makeReadable(directory);
  if (!statSync(webroot).isDirectory()) throw Object.assign(new Error(`${webroot} is no directory`), { code: 'ENOTDIR', path: webroot });
  makeReadable(join(webroot, '.well-known'));
  makeReadable(directory);
}

/** The web server is another user, whatever the umask is. */
function makeReadable(directory: string): void {
  if (!makeDirectories(directory, 0o755)) return;
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    fchmodSync(descriptor, 0o755);
  } finally {
    closeSync(descriptor);
  }
}

/** Whole or not at all; not synced, because no challenge outlives a power cut. */
function putAnswer(file: string, keyAuthorization: string): void {
  const temporary = temporaryName(file);
  try {
    const descriptor = openSync(temporary, 'wx', 0o644);
    try {
      fchmodSync(descriptor, 0o644);
      writeFileSync(descriptor, keyAuthorization);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Only the very answer: a process that was killed may have put it there, and a file of somebody else's stays. */
function removeAnswer(file: string, keyAuthorization: string): void {
  try {
    const read = readBounded(file, LARGEST_ANSWER);
    if ('text' in read && read.text === keyAuthorization) unlinkSync(file);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ENOTDIR') throw error;
  }
}

/** How many answers and half-written files from before `before` (ms since the epoch) were removed. What cannot be seen or removed stays. */
function removeStale(directory: string, before: number): number {
  let names: readonly string[];
  try {
    names = readdirSync(directory);
  } catch {
    return 0;
  }
  return names.filter((name) => removedStale(directory, name, before)).length;
}

function removedStale(directory: string, name: string, before: number): boolean {
  const token = isTemporary(name) ? name.slice(0, name.lastIndexOf('.')) : name;
  const file = join(directory, name);
  try {
    const stat = lstatSync(file);
    if (!isToken(token) || !stat.isFile() || stat.mtimeMs >= before) return false;
    if (token === name && !isAnswerTo(token, file)) return false;
    unlinkSync(file);
    return true;
  } catch {
    return false;
  }
}

function isAnswerTo(token: string, file: string): boolean {
  const read = readBounded(file, LARGEST_ANSWER);
  return 'text' in read && read.text.startsWith(`${token}.`);
}

function failure(what: string, file: string, webroot: string | undefined, cause: unknown): unknown {
  // What is no refusal of the system is a mistake of ours, and keeps its own stack.
  if (systemCode(cause) === undefined) return cause;
  const setting = webroot === undefined ? 'the challenges volume' : 'http01.webroot';
  const missing = cause instanceof Error && 'path' in cause && cause.path === webroot;
  return new PodserveError('CHALLENGE_FAILED', what, {
    where: missing && webroot !== undefined ? webroot : file,
    ...explanation(cause, file, setting),
    cause,
  });
}

function explanation(cause: unknown, file: string, setting: string): { why: string; remedy: string } {
  const code = systemCode(cause);
  switch (code) {
    case 'ENOENT':
      return { why: 'it is missing', remedy: `make it, or correct ${setting}` };
    case 'ENOTDIR':
    case 'EEXIST':
      return { why: 'there is something else where a directory belongs', remedy: `move it away, or correct ${setting}` };
    case 'EISDIR':
      return { why: 'there is a directory where the file belongs', remedy: 'move it away' };
    case 'ENOSPC':
    case 'EDQUOT':
      return { why: `the disk is full (${code})`, remedy: 'free some space there (df -h, df -i)' };
    case 'EROFS':
      return { why: 'the file system is read-only', remedy: `mount ${setting} writable for the certificate service` };
    case 'EACCES':
    case 'EPERM':
      return refusalOf(file, cause);
    case undefined:
    default:
      return { why: messageOf(cause), remedy: 'see what is there, and after the disk that it is on' };
  }
}
