import { spawn, type ChildProcess } from 'node:child_process';

import { SECOND, type Clock } from '../platform/clock.ts';
import { PodserveError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { DaemonReport } from './service.ts';
import { closeQuietly, openLinePipe } from './supervisor/output.ts';
import { findProgram, signalProcess } from './supervisor/process.ts';

/** How a daemon is run. It must stay in the foreground and log to standard output and error. */
export interface DaemonProgram {
  readonly name: string;
  /** Absolute path. */
  readonly program: string;
  readonly args: readonly string[];
  /** The line by which it says that it serves, on either stream. */
  readonly ready: RegExp;
  readonly readyWithinMs: number;
  /** Asks it to end gracefully; after `withinMs` it gets SIGTERM, and half a second later SIGKILL. */
  readonly stop: { readonly signal: NodeJS.Signals; readonly withinMs: number };
  /** How serious a line on standard error is. */
  severity(line: string): 'debug' | 'info' | 'warn' | 'error';
}

export interface SupervisorOptions {
  /** For the pipes of its output. */
  readonly runtimeDirectory: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Called after it was started again because it had ended by itself, and when it has ended so. */
  onChange(): void;
}

export interface Daemon extends AsyncDisposable {
  report(): DaemonReport;
  /**
   * Starts it and waits until it says that it serves. A daemon that has once served is started again whenever it
   * ends by itself, after ever longer pauses; one that ended during `start` or `reload` is not: its caller knows better.
   * @throws PodserveError DAEMON_FAILED with its last words
   */
  start(): Promise<void>;
  /**
   * Sends a signal and waits until it says that it serves again; starts it when it does not run.
   * @throws PodserveError DAEMON_FAILED when it ended instead, or says nothing
   */
  reload(signal: NodeJS.Signals): Promise<void>;
  /** Ends it, and leaves it so until `start` or `reload`. */
  stop(): Promise<void>;
}

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 30 * SECOND;
/** After this long a daemon counts as healthy, and its next end is its first again. */
const HEALTHY_AFTER = 60 * SECOND;
const LAST_WORDS = 8;
/** The last lines arrive through the pipe a moment after the exit itself. */
const LAST_WORDS_MS = 40;

interface Waiter {
  said(line: string): void;
  ended(why: string): void;
}

/**
 * Looks after one daemon. It gets a session of its own, so that Ctrl-C and a resized terminal (SIGWINCH means
 * "stop" to Apache) reach only us, and dies with us even after kill -9 where Debian's setpriv is installed.
 */
export function superviseDaemon(program: DaemonProgram, options: SupervisorOptions): Daemon {
  const { clock } = options;
  const log = options.log.child({ daemon: program.name });
  const lifetime = new AbortController();
  const waiters = new Set<Waiter>();
  const lastWords: string[] = [];
  let child: ChildProcess | undefined;
  let state: DaemonReport['state'] = 'stopped';
  let since = clock.now();
  let restarts = 0;
  let failures = 0;
  let lastEnd: string | undefined;
  let runningSince = 0;
  let wanted = false;
  /** Whether somebody waits for start, reload or stop and will decide what follows when it ends. */
  let inHand = false;
  let ended: Promise<void> = Promise.resolve();
  let attempt: Promise<void> = Promise.resolve();

  const hear = (line: string): void => {
    for (const waiter of waiters) waiter.said(line);
  };
  using pipes = new DisposableStack();
  const output = pipes.use(
    openLinePipe(options.runtimeDirectory, `${program.name}-out`, (line) => {
      log.info({ line }, 'daemon output');
      hear(line);
    }),
  );
  const errors = pipes.use(
    openLinePipe(options.runtimeDirectory, `${program.name}-err`, (line) => {
      lastWords.push(line);
      if (lastWords.length > LAST_WORDS) lastWords.shift();
      log[program.severity(line)]({ line }, 'daemon message');
      hear(line);
    }),
  );
  const owned = pipes.move();

  function become(next: DaemonReport['state']): void {
    state = next;
    since = clock.now();
  }

  function launch(): void {
    const path = process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin';
    const setpriv = findProgram('setpriv', path);
    const wrapped = setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'TERM', '--'];
    const [command = program.program, ...args] = [...wrapped, program.program, ...program.args];
    const stdout = output.openForChild();
    const stderr = errors.openForChild();
    lastWords.length = 0;
    become('starting');
    try {
      // Only what a daemon needs: SSL_CERT_FILE, for one, would become OpenSSL's trust store.
      const env = { PATH: path, LANG: 'C.UTF-8', ...(process.env['TZ'] === undefined ? {} : { TZ: process.env['TZ'] }) };
      child = spawn(command, args, { stdio: ['ignore', stdout, stderr], detached: true, env, cwd: '/' });
    } finally {
      closeQuietly(stdout);
      closeQuietly(stderr);
    }
    const started = child;
    const end = Promise.withResolvers<void>();
    ended = end.promise;
    const finish = async (why: string): Promise<void> => {
      if (child !== started) return;
      child = undefined;
      // Children of a crashed master still hold its ports.
      if (started.pid !== undefined) signalProcess(-started.pid, 'SIGKILL');
      await clock.sleep(LAST_WORDS_MS);
      const asked = lifetime.signal.aborted;
      lastEnd = asked ? lastEnd : [why, ...lastWords].join(' | ');
      become('stopped');
      const said = lastEnd ?? why;
      for (const waiter of waiters) waiter.ended(said);
      end.resolve();
      if (asked || inHand) return;
      log.error({ why: lastEnd }, 'daemon ended by itself');
      void revive();
    };
    started.once('error', (error) => void finish(`it could not be started (${error.message})`));
    started.once('exit', (code, signal) => void finish(signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`));
  }

  async function revive(): Promise<void> {
    if (clock.now() - runningSince > HEALTHY_AFTER) failures = 0;
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures);
    failures += 1;
    become('waiting');
    options.onChange();
    await clock.sleep(pause, lifetime.signal);
    if (lifetime.signal.aborted || !wanted || child !== undefined) return;
    restarts += 1;
    try {
      await launched();
      log.warn({ restarts }, 'daemon was started again');
      options.onChange();
    } catch (error) {
      log.error({ error: error instanceof PodserveError ? error.why : String(error) }, 'daemon does not stay up');
      if (!lifetime.signal.aborted && wanted && state === 'stopped') void revive();
    }
  }

  async function until(act: () => void, what: string, withinMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (why: string): void =>
      reject(
        new PodserveError('DAEMON_FAILED', `${program.name} did not ${what}`, {
          where: program.program,
          why,
          remedy: 'its messages say why; what was served before is put back where there was something',
        }),
      );
    const waiter: Waiter = {
      said: (line) => {
        if (program.ready.test(line)) resolve();
      },
      ended: fail,
    };
    const timer = setTimeout(() => fail(`it said nothing for ${withinMs} ms`), withinMs);
    waiters.add(waiter);
    inHand = true;
    try {
      act();
      await promise;
      become('running');
      runningSince = since;
    } finally {
      clearTimeout(timer);
      waiters.delete(waiter);
      inHand = false;
    }
  }

  function launched(): Promise<void> {
    const launching = until(launch, 'start', program.readyWithinMs);
    attempt = launching.catch(() => undefined);
    return launching;
  }

  async function stopChild(): Promise<void> {
    const { pid } = child ?? {};
    if (pid === undefined) return;
    inHand = true;
    signalProcess(pid, program.stop.signal);
    if (await endsWithin(ended, program.stop.withinMs)) return;
    log.warn({ afterMs: program.stop.withinMs }, 'daemon still has connections: they are cut');
    signalProcess(pid, 'SIGTERM');
    if (await endsWithin(ended, SECOND / 2)) return;
    signalProcess(-pid, 'SIGKILL');
    await ended;
  }

  async function start(): Promise<void> {
    wanted = true;
    await stopChild();
    await launched();
  }

  return {
    report: () => ({ name: program.name, state, pid: child?.pid, since, restarts, lastEnd }),
    start,
    async reload(signal) {
      // It may be on its way up already, after an end of its own.
      await attempt;
      const pid = child?.pid;
      if (pid === undefined || state !== 'running') return start();
      await until(() => void signalProcess(pid, signal), 'reload', program.readyWithinMs);
    },
    async stop() {
      wanted = false;
      await attempt;
      await stopChild();
      inHand = false;
      if (state === 'waiting') become('stopped');
    },
    async [Symbol.asyncDispose]() {
      lifetime.abort();
      await stopChild();
      owned.dispose();
    },
  };
}

async function endsWithin(ended: Promise<void>, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  void ended.then(() => resolve(true));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
