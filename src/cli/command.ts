import type { ParseArgsOptionsConfig } from 'node:util';

import type { Clock } from '../platform/clock.ts';

/** Everything a command may touch, so that tests can put their own there. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly clock: Clock;
  /** Aborted at the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Called at each SIGHUP, while somebody listens. Returns how to stop listening. */
  onHangup(listener: () => void): () => void;
  /** Writes to standard output: results. A newline is added. */
  out(line: string): void;
  /** Writes to standard error: warnings, errors and progress. A newline is added. */
  err(line: string): void;
  /** Whether standard output is a terminal. */
  readonly interactive: boolean;
}

/** One command of the table in `main.ts`; one file in `src/cli/` holds one. */
export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `--help` prints: usage line, options with their defaults, examples. */
  readonly help: string;
  /** The options besides `--help`, `--config`, `--state` and `--json`, for node:util `parseArgs`. */
  readonly options: ParseArgsOptionsConfig;
  /** Whether it takes words that are no options. */
  readonly positionals: boolean;
  /** @returns the exit code: 0 done, 1 failed or needs attention */
  run(args: Arguments, context: Context): Promise<number>;
}

export interface Arguments {
  readonly values: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
  readonly positionals: readonly string[];
}

/** The value of a string option, or undefined. */
export function text(args: Arguments, option: string): string | undefined {
  const value = args.values[option];
  return typeof value === 'string' ? value : undefined;
}

/** Whether a boolean option was given. */
export function flag(args: Arguments, option: string): boolean {
  return args.values[option] === true;
}

/** The values of an option that may be given several times. */
export function many(args: Arguments, option: string): string[] {
  const values = args.values[option];
  return Array.isArray(values) ? values.map(String) : [];
}
