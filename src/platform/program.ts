import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

import { SECOND, type Clock } from './clock.ts';

/** A program of the user's that is called for one thing. */
export interface ProgramCall {
  readonly exec: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** All that it can read from its standard input. */
  readonly input: string;
  readonly clock: Clock;
  /** How long it may take, ms. */
  readonly timeoutMs: number;
  /** Ends it early. */
  readonly stop: AbortSignal;
  /** Which 4 KiB of each of its streams are kept. */
  readonly keep: 'beginning' | 'end';
}

export interface Ending {
  /** Undefined when the program ended well, else how it ended. */
  readonly ending: string | undefined;
  /** What it wrote to its standard output, and after that to its standard error. */
  readonly output: string;
}

/** Between asking a program to end and ending it. */
const GRACE = 2 * SECOND;
/** What a program left behind may hold our pipes open; its words are not waited for longer. */
const LAST_WORDS = SECOND / 2;
const MOST_OUTPUT = 4096;

/**
 * Runs a program to its end, in a process group of its own so that a time-out ends what it started too. What it leaves
 * behind when it ends by itself is left alone.
 * @throws the system's error when it cannot be started
 */
export async function callProgram({ exec, args, env, input, clock, timeoutMs, stop, keep }: ProgramCall): Promise<Ending> {
  const child = spawn(exec, args, { env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const exit = Promise.withResolvers<string | undefined>();
  child.once('error', exit.reject);
  child.once('exit', (code, signal) => exit.resolve(code === 0 ? undefined : `it ended with ${signal ?? `exit code ${code}`}`));
  const output = [collect(child.stdout, keep), collect(child.stderr, keep)];
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const over = new AbortController();
  const tooLong = endWhenTooLong(child, clock, timeoutMs, stop, over.signal);
  try {
    const ending = await exit.promise;
    over.abort();
    await Promise.race([closed, clock.sleep(LAST_WORDS)]);
    return {
      ending: (await tooLong) ?? ending,
      output: output
        .map((read) => read())
        .join('')
        .trim(),
    };
  } finally {
    over.abort();
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** Ends the program's group after the time-out or at the service's end; says so, or undefined when it ended by itself. */
async function endWhenTooLong(
  child: ChildProcess,
  clock: Clock,
  timeoutMs: number,
  stop: AbortSignal,
  over: AbortSignal,
): Promise<string | undefined> {
  await clock.sleep(timeoutMs, AbortSignal.any([stop, over]));
  if (over.aborted) return undefined;
  killGroup(child, 'SIGTERM');
  await clock.sleep(stop.aborted ? LAST_WORDS : GRACE, over);
  if (!over.aborted) killGroup(child, 'SIGKILL');
  return stop.aborted ? 'it was ended with the service' : `it was ended after ${timeoutMs / SECOND} s`;
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}

/** Reads a stream to its end, keeping a part. */
function collect(stream: Readable, keep: ProgramCall['keep']): () => string {
  let kept = '';
  stream.setEncoding('utf8');
  stream.on('error', () => undefined);
  stream.on('data', (data: string) => {
    if (keep === 'end') kept = (kept + data).slice(-MOST_OUTPUT);
    else if (kept.length < MOST_OUTPUT) kept += data.slice(0, MOST_OUTPUT - kept.length);
  });
  return () => kept;
}
