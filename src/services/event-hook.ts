import { SECOND, systemClock, type Clock } from '../platform/clock.ts';
import { scrubbedEnvironment } from '../platform/environment.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { callProgram } from '../platform/program.ts';

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
/** For calls under way when the service ends. */
const GRACE = 2 * SECOND;
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
      const { ending, output } = await callProgram({
        exec,
        args: [],
        env,
        input: inputOf(notice),
        clock,
        timeoutMs,
        stop: stop.signal,
        keep: 'beginning',
      });
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

function inputOf({ kind, certificate, event }: HookNotice): string {
  const { at, reason, detail, generation } = event;
  const fields = { version: 1, event: kind, certificate, at: new Date(at).toISOString(), reason, message: detail, generation };
  return `${JSON.stringify(fields)}\n`;
}

function anyOf(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? one : AbortSignal.any([one, other]);
}
