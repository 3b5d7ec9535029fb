import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

import { SECOND, systemClock, type Clock } from '../platform/clock.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { redactKeys } from '../platform/redact.ts';

/** A change that a person should know of; the certificate service's `Notice` is one. */
export interface HookNotice {
  readonly kind: 'renewal' | 'failure' | 'emergency' | 'recovery';
  /** The certificate's name, or null when it is about the whole service. */
  readonly certificate: string | null;
  readonly event: {
    /** When it happened, ms since the epoch. */
    readonly at: number;
    /** A word for programs. */
    readonly reason: string;
    /** A sentence for people. */
    readonly detail: string;
    readonly generation: number | null;
  };
}

/** Tells a program of events. Disposing of it waits until everything is told, but not for ever. */
export interface EventHook extends AsyncDisposable {
  /** Returns at once and never throws: the service does not depend on who listens. Calls are made one after the other. */
  notify(notice: HookNotice): void;
  /** Resolves when everything notified so far has been told or given up. */
  settled(): Promise<void>;
}

export interface EventHookOptions {
  /** The service's environment; what is secret in it is kept back. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
  /** Once aborted, calls have two seconds more. */
  readonly signal?: AbortSignal;
  /** How long one call may take, ms. */
  readonly timeoutMs?: number;
}

const TIMEOUT = 30 * SECOND;
/** Between asking a program to end and ending it, and for calls under way when the service ends. */
const GRACE = 2 * SECOND;
/** What a program left behind may hold our pipes open; its words are not waited for longer. */
const LAST_WORDS = SECOND / 2;
const MOST_OUTPUT = 4096;
/** A program that hangs must not make the service hold thousands of events. */
const MOST_WAITING = 1000;

/**
 * Calls the program once for each notice, with one JSON object on its standard input: `version`, `event`,
 * `certificate`, `at` (ISO 8601), `reason`, `message`, `generation`. What is a change, and that it is told
 * only once, is the caller's. Without a program it does nothing.
 */
export function eventHook(onEvent: { readonly exec: string } | undefined, log: Log, options: EventHookOptions = {}): EventHook {
  if (onEvent === undefined)
    return { notify: () => undefined, settled: async () => undefined, [Symbol.asyncDispose]: async () => undefined };
  const { exec } = onEvent;
  const { clock = systemClock, signal, timeoutMs = TIMEOUT } = options;
  const stop = new AbortController();
  const env = scrubbedEnvironment(options.env ?? process.env);
  let waiting = 0;
  let queue = Promise.resolve();

  async function tell(notice: HookNotice): Promise<void> {
    const fields = { exec, event: notice.kind, certificate: notice.certificate };
    if (stop.signal.aborted) return log.warn(fields, 'the event program was not called: the service ended');
    try {
      const { ending, output } = await call({ exec, env, input: inputOf(notice), clock, timeoutMs, stop: stop.signal });
      if (ending === undefined) log.debug({ ...fields, output }, 'the event program was called');
      else log.error({ ...fields, ending, output }, 'the event program failed: this event was perhaps not told to anybody');
    } catch (error) {
      log.error({ ...fields, error: describeError(error) }, 'the event program cannot be called: this event was not told to anybody');
    }
  }

  return {
    notify(notice) {
      if (waiting >= MOST_WAITING) {
        log.error(
          { exec, event: notice.kind, certificate: notice.certificate },
          'too many events wait for the event program: one is dropped',
        );
        return;
      }
      waiting += 1;
      queue = queue.then(() => tell(notice)).finally(() => (waiting -= 1));
    },
    settled: () => queue,
    async [Symbol.asyncDispose]() {
      const told = new AbortController();
      void queue.then(() => told.abort());
      await clock.sleep(2 * timeoutMs, anyOf(told.signal, signal));
      await clock.sleep(GRACE, told.signal);
      stop.abort();
      await queue;
    },
  };
}

/**
 * The environment without what a child has no business with: SSL_CERT_FILE, which OpenSSL takes for its
 * trust store, SSL_KEY_FILE, and whatever is named or looks like a secret.
 */
export function scrubbedEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = Object.entries(env).filter((entry): entry is [string, string] => {
    const [name, value] = entry;
    return value !== undefined && !OURS.test(name) && !SECRET.test(name) && redactKeys(value) === value;
  });
  return Object.fromEntries(kept);
}

const OURS = /^(?:SSL_CERT_FILE|SSL_CERT_DIR|SSL_KEY_FILE|CERT_EAB_.*|NODE_CHANNEL_FD)$/;
const SECRET = /PASS(?:WORD|WD|PHRASE)|SECRET|TOKEN|CREDENTIAL|HMAC|PRIVATE|(?:^|_)(?:API_?)?KEY$/i;

interface Ending {
  /** Undefined when the program ended well, else how it ended. */
  readonly ending: string | undefined;
  readonly output: string;
}

function inputOf({ kind, certificate, event }: HookNotice): string {
  const { at, reason, detail, generation } = event;
  const fields = { version: 1, event: kind, certificate, at: new Date(at).toISOString(), reason, message: detail, generation };
  return `${JSON.stringify(fields)}\n`;
}

interface Call {
  readonly exec: string;
  readonly env: Record<string, string>;
  readonly input: string;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly stop: AbortSignal;
}

async function call({ exec, env, input, clock, timeoutMs, stop }: Call): Promise<Ending> {
  // Its own process group, so that a time-out ends what it started too.
  const child = spawn(exec, [], { env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const exit = Promise.withResolvers<string | undefined>();
  child.once('error', exit.reject);
  child.once('exit', (code, signal) => exit.resolve(code === 0 ? undefined : `it ended with ${signal ?? `exit code ${code}`}`));
  const output = [collect(child.stdout), collect(child.stderr)];
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
  await clock.sleep(timeoutMs, anyOf(stop, over));
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

/** Reads a stream to its end, keeping the beginning. */
function collect(stream: Readable): () => string {
  let kept = '';
  stream.setEncoding('utf8');
  stream.on('error', () => undefined);
  stream.on('data', (data: string) => {
    if (kept.length < MOST_OUTPUT) kept += data.slice(0, MOST_OUTPUT - kept.length);
  });
  return () => kept;
}

function anyOf(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? one : AbortSignal.any([one, other]);
}
