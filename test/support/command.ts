import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';

import { keepOutput } from './artifacts.ts';

export const PODSERVE = fileURLToPath(new URL('../../bin/podserve', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string;
}

/** Runs any program to its end. The environment is the test's own with `env` on top. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = spawn(program, args, { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  return finished(child);
}

/** Runs `podserve ARGS` from this checkout to its end. */
export function podserve(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return run(PODSERVE, args, options);
}

export interface Running {
  readonly child: ChildProcess;
  readonly done: Promise<Finished>;
  /** Everything that it wrote to both streams so far. */
  output(): string;
  /** Resolves when the output matches; fails loudly with the output after `ms`. */
  says(pattern: RegExp, ms?: number): Promise<RegExpExecArray>;
}

/** Starts a program that stays; it is killed when the test ends, if it is still there. */
export function start(t: Pick<TestContext, 'after'>, program: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(program, args, { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const waiting = new Set<() => void>();
  const take = (data: Buffer): void => {
    output += data.toString();
    for (const look of waiting) look();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const done = finished(child);
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await done;
  });
  return {
    child,
    done,
    output: () => output,
    async says(pattern, ms = 15_000) {
      const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
      const look = (): void => {
        const match = pattern.exec(output);
        if (match !== null) resolve(match);
      };
      const timer = setTimeout(() => reject(new Error(`no ${pattern} within ${ms} ms in:\n${output}`)), ms);
      void done.then(() => setTimeout(() => reject(new Error(`ended without ${pattern}:\n${output}`)), 100));
      waiting.add(look);
      look();
      try {
        return await promise;
      } finally {
        clearTimeout(timer);
        waiting.delete(look);
      }
    },
  };
}

function finished(child: ChildProcess): Promise<Finished> {
  const { promise, resolve, reject } = Promise.withResolvers<Finished>();
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (stderr += data.toString()));
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => keepOutput(child.spawnfile, data));
  child.once('error', reject);
  child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  return promise;
}
