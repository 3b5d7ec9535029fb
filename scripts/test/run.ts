import { spawn } from 'node:child_process';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';

import { SECOND } from '../../src/platform/clock.ts';
import type { Told } from './reporter.ts';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  /** What failed, one line each. */
  readonly failures: readonly string[];
}

export interface TestRun {
  readonly files: readonly string[];
  /** Where the tests run; `files` and `logFile` are relative to it. */
  readonly checkout: string;
  /** How many files at a time. */
  readonly concurrency: number;
  /** For one test, in milliseconds. */
  readonly timeoutMs: number;
  /** Where the full report goes. */
  readonly logFile: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether the names of tests that pass are shown, too. */
  readonly verbose: boolean;
  /** Whether they get a network of their own, with nothing but loopback. */
  readonly ownNetwork: boolean;
  readonly signal: AbortSignal;
  say(line: string): void;
  /** Called with the process whose session holds all that the tests start. */
  onStart(session: number | undefined): void;
}

const REPORTER = new URL('reporter.ts', import.meta.url).href;
const OWN_NETWORK = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'] as const;
/** Beyond the time for one test: a file that is silent for longer hangs in a handle that it left open. */
const GRACE_MS = 60 * SECOND;

/** Runs test files in a session of their own, shows what happens, and counts. */
export async function runTests(run: TestRun): Promise<Tally> {
  const args = [
    '--test',
    `--test-concurrency=${run.concurrency}`,
    `--test-timeout=${run.timeoutMs}`,
    `--test-reporter=${REPORTER}`,
    '--test-reporter-destination=stdout',
    '--test-reporter=spec',
    `--test-reporter-destination=${run.logFile}`,
    ...run.files,
  ];
  const node = join(run.checkout, relative(process.cwd(), process.execPath));
  const [command, ...words] = run.ownNetwork ? [...OWN_NETWORK, node, ...args] : [node, ...args];
  // Sets the session apart, so that all of it can be ended by number.
  const child = spawn(command, words, {
    cwd: run.checkout,
    env: run.env,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  run.onStart(child.pid);
  const stop = (): void => endSession(child.pid);
  run.signal.addEventListener('abort', stop, { once: true });
  const show = shower(run);
  let hung = false;
  const watchdog = setTimeout(() => {
    hung = true;
    stop();
  }, run.timeoutMs + GRACE_MS);

  const seen: Seen = { passed: 0, failures: [] };
  let sum: Extract<Told, { kind: 'end' }> | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    watchdog.refresh();
    const told = JSON.parse(line) as Told;
    if (told.kind === 'end') sum = told;
    else show.take(told);
    if (told.kind === 'pass' || told.kind === 'fail') count(seen, told);
  }
  clearTimeout(watchdog);
  run.signal.removeEventListener('abort', stop);
  show.end();
  if (hung)
    seen.failures.push(
      `${show.file() || 'the tests'}: nothing was heard for ${(run.timeoutMs + GRACE_MS) / SECOND} s, and the tests were ended`,
    );
  else if (sum === undefined) seen.failures.push(`${show.file() || 'the tests'}: ended before they were through`);
  return { passed: sum?.passed ?? seen.passed, failed: sum?.failed ?? seen.failures.length, failures: seen.failures };
}

interface Seen {
  passed: number;
  readonly failures: string[];
}

function count(seen: Seen, told: Extract<Told, { kind: 'pass' | 'fail' }>): void {
  if (told.suite) return;
  if (isGood(told)) seen.passed += 1;
  else seen.failures.push(`${told.file}: ${told.name}`);
}

function isGood(told: Extract<Told, { kind: 'pass' | 'fail' }>): boolean {
  return told.kind === 'pass' && !told.skipped;
}

function endSession(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/**
 * One line a file; under it the tests that failed and what tests printed. A verbose run shows
 * every test as soon as it is through, under the name of its file.
 */
function shower(run: TestRun): { take(told: Exclude<Told, { kind: 'end' }>): void; end(): void; file(): string } {
  let file = '';
  let lines: string[] = [];
  let [tests, failed, ms] = [0, 0, 0];
  const say = (line: string): void => void (run.verbose ? run.say(line) : lines.push(line));
  const end = (): void => {
    if (tests + lines.length === 0) return;
    const verdict = failed === 0 ? 'ok    ' : 'FAILED';
    run.say(`  ${verdict}  ${file.padEnd(58)} ${String(tests).padStart(4)} tests ${(ms / SECOND).toFixed(1).padStart(7)} s`);
    for (const line of lines) run.say(line);
    lines = [];
    [tests, failed, ms] = [0, 0, 0];
  };
  return {
    end,
    file: () => file,
    take(told) {
      if (told.file !== file) {
        end();
        file = told.file;
        if (run.verbose) run.say(`  ${file}`);
      }
      if (told.kind === 'said') {
        for (const line of said(told)) say(line);
        return;
      }
      if (told.nesting === 0) ms += told.ms;
      if (told.suite) return;
      tests += 1;
      if (!isGood(told)) failed += 1;
      if (!isGood(told) || run.verbose) say(`    ${isGood(told) ? 'ok    ' : 'FAILED'}  ${told.name} (${(told.ms / SECOND).toFixed(1)} s)`);
      if (told.skipped) say('            it was skipped: nothing is skipped in silence');
      else if (!isGood(told)) for (const line of told.error.split('\n')) say(`            ${line}`);
    },
  };
}

/** What tests print, without the seed that each random stream repeats. */
function said(told: Extract<Told, { kind: 'said' }>): string[] {
  return told.text
    .trimEnd()
    .split('\n')
    .filter((line) => !/PODSERVE_SEED=\d+$/.test(line))
    .map((line) => `    |  ${line}`);
}
