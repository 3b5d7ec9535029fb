import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import { MINUTE, SECOND, type Clock } from '../../platform/clock.ts';
import { scrubbedEnvironment } from '../../platform/environment.ts';
import { PodserveError, messageOf, systemCode } from '../../platform/errors.ts';
import { explainPodman } from './remedies.ts';

export interface PodmanOptions {
  /** Its PATH says which podman; CONTAINERS_CONF and the like are podman's to read. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

export interface CallOptions {
  /** ms; a minute when not given. */
  readonly timeoutMs?: number;
  /** Ends podman early. Not for calls that leave something half-made. */
  readonly signal?: AbortSignal;
}

export interface PodmanAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The podman program. Each method throws PodserveError PODMAN_MISSING where there is none. */
export interface Podman {
  /**
   * Runs it to its end, whatever its exit code.
   * @throws PodserveError PODMAN_FAILED when it takes too long; the signal's reason
   */
  ask(args: readonly string[], options?: CallOptions): Promise<PodmanAnswer>;
  /**
   * @param what was attempted, as the beginning of an error: `pod web could not be started`
   * @returns its standard output
   * @throws PodserveError PODMAN_FAILED with what podman said and, where it is known, what helps; the signal's reason
   */
  run(what: string, args: readonly string[], options?: CallOptions): Promise<string>;
  /**
   * Runs it until it ends or the signal aborts, and gives each line of both its streams.
   * @returns its exit code
   */
  follow(args: readonly string[], line: (text: string) => void, signal: AbortSignal): Promise<number>;
}

/** Between asking podman to end and ending it. */
const GRACE = 2 * SECOND;
/** conmon, which it leaves behind, may hold our pipes open. */
const LAST_WORDS = SECOND / 2;
const MOST_OUTPUT = 32 * 1024 * 1024;

export function openPodman(options: PodmanOptions): Podman {
  return {
    ask: (args, limits = {}) => call(options, args, limits),
    async run(what, args, limits = {}) {
      const answer = await call(options, args, limits);
      if (answer.code !== 0) throw podmanFailure(what, answer.stderr);
      return answer.stdout;
    },
    follow: (args, line, signal) => follow(options, args, line, signal),
  };
}

/** PODMAN_FAILED with the line of podman that says why, and what helps. */
function podmanFailure(what: string, stderr: string): PodserveError {
  return new PodserveError('PODMAN_FAILED', what, explainPodman(stderr));
}

/**
 * The JSON that podman printed: it writes warnings around it, `null` or nothing for an empty list, and a list of what it
 * found when it did not find all.
 */
export function parseList(stdout: string): readonly unknown[] {
  const from = stdout.search(/^[[{]/m);
  if (from < 0) return [];
  try {
    const value: unknown = JSON.parse(stdout.slice(from));
    return Array.isArray(value) ? value : [value];
  } catch {
    return [];
  }
}

async function call({ env, clock }: PodmanOptions, args: readonly string[], limits: CallOptions): Promise<PodmanAnswer> {
  const { timeoutMs = MINUTE, signal } = limits;
  signal?.throwIfAborted();
  const child = begin(args, env);
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const over = new AbortController();
  const ended = endEarly(child, clock, timeoutMs, signal, over.signal);
  try {
    const code = await exitOf(child);
    over.abort();
    await Promise.race([closed, clock.sleep(LAST_WORDS)]);
    const early = await ended;
    if (early === 'aborted') throw signal?.reason;
    if (early === 'too-long') {
      throw new PodserveError('PODMAN_FAILED', `podman ${args.slice(0, 2).join(' ')} did not end within ${timeoutMs / SECOND} s`, {
        remedy: 'see what keeps this host busy, and try again: what runs goes on',
      });
    }
    return { code, stdout: stdout(), stderr: stderr() };
  } finally {
    over.abort();
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

async function follow(
  { env, clock }: PodmanOptions,
  args: readonly string[],
  line: (text: string) => void,
  signal: AbortSignal,
): Promise<number> {
  const child = begin(args, env);
  const over = new AbortController();
  const ended = endEarly(child, clock, Infinity, signal, over.signal);
  const streams = [child.stdout, child.stderr].filter((stream): stream is Readable => stream !== null);
  const read = streams.map(async (input) => {
    for await (const text of createInterface({ input })) line(text);
  });
  try {
    const code = await exitOf(child);
    await Promise.race([Promise.all(read), clock.sleep(LAST_WORDS)]);
    return code;
  } finally {
    over.abort();
    await ended;
    for (const stream of streams) stream.destroy();
  }
}

/** In a process group of its own: a Ctrl-C at the terminal is for podserve, which lets podman finish its step. */
function begin(args: readonly string[], env: PodmanOptions['env']): ChildProcess {
  return spawn('podman', args, { env: scrubbedEnvironment(env), stdio: ['ignore', 'pipe', 'pipe'], detached: true });
}

async function exitOf(child: ChildProcess): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', (cause) => reject(notStarted(cause)));
  child.once('exit', (code) => resolve(code ?? 1));
  return promise;
}

function notStarted(cause: Error): PodserveError {
  if (systemCode(cause) !== 'ENOENT')
    return new PodserveError('PODMAN_FAILED', 'podman cannot be started', { why: messageOf(cause), cause });
  return new PodserveError('PODMAN_MISSING', 'pods need podman, and it is not installed', {
    why: 'there is none on the search path',
    remedy: `install it (${PODMAN_PACKAGES}); podserve up without --pods needs nothing but Node`,
    cause,
  });
}

const PODMAN_PACKAGES = 'apt-get install podman buildah catatonit netavark aardvark-dns uidmap slirp4netns';

async function endEarly(
  child: ChildProcess,
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  over: AbortSignal,
): Promise<'aborted' | 'too-long' | undefined> {
  const either = signal === undefined ? over : AbortSignal.any([signal, over]);
  if (timeoutMs === Infinity) await aborted(either);
  else await clock.sleep(timeoutMs, either);
  if (over.aborted) return undefined;
  killGroup(child, 'SIGTERM');
  await clock.sleep(GRACE, over);
  if (!over.aborted) killGroup(child, 'SIGKILL');
  return signal?.aborted === true ? 'aborted' : 'too-long';
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}

function collect(stream: Readable | null): () => string {
  let kept = '';
  stream?.setEncoding('utf8');
  stream?.on('error', () => undefined);
  stream?.on('data', (data: string) => {
    if (kept.length < MOST_OUTPUT) kept += data;
  });
  return () => kept;
}
