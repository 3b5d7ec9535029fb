import { slots } from '../platform/concurrency.ts';
import { systemClock, type Clock } from '../platform/clock.ts';
import type { Endpoint } from './endpoint.ts';
import { ProbeFailure } from './failure.ts';
import { fingerprintContext, servedLeafSha256 } from './probe.ts';

/** One name at one endpoint, and the leaf that must be seen there. */
export interface VerifyTarget {
  readonly endpoint: Endpoint;
  /** As for `probe`: name, wildcard or address; undefined: the endpoint's host. */
  readonly servername: string | undefined;
  /** Lower-case hex. */
  readonly leafSha256: string;
}

export interface VerifyOptions {
  /** How long a wrong or missing answer is asked for again, ms. */
  readonly deadlineMs?: number;
  /** How long an answer that does not come in time is asked for again, ms; default: `deadlineMs`. */
  readonly patienceMs?: number;
  /** The first pause before asking again, ms; doubled up to 100. */
  readonly intervalMs?: number;
  /** How many right answers in a row are proof. */
  readonly confirmations?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

export interface Verified {
  readonly target: VerifyTarget;
  readonly served: boolean;
  /** The leaf that was seen last, or undefined when the last handshake failed. */
  readonly saw: string | undefined;
  /** Why the last handshake failed, or that another leaf was seen. */
  readonly failure: ProbeFailure | undefined;
  /** From the call to the first answer of the unbroken run of right ones, or to giving up, ms. */
  readonly afterMs: number;
  /** How many handshakes it took. */
  readonly attempts: number;
}

const LONGEST_PAUSE = 100;
/**
 * One handshake that hangs must not use up the whole deadline: a fresh connection may meet a live process. Where
 * none is answered in that time, the next gets twice as long: a busy daemon would else never be heard to the end.
 */
const HANDSHAKE_LIMIT = 1000;
const LONGEST_HANDSHAKE = 4000;
const AT_ONCE = 16;

/**
 * Asks every target until it serves its leaf, all in parallel (16 handshakes at a time), and judges the wrong
 * ones only at the deadline: handshakes straight after a reload can still meet an old process. For the same
 * reason one right answer is no proof: it takes three in a row. Listening sockets are shared by old and new
 * processes for a moment, so a single look (the alternative) can report success and be wrong for the next client.
 * @returns one result per target, in their order
 * @throws the signal's reason when it aborts
 */
export async function verifyServed(targets: readonly VerifyTarget[], options: VerifyOptions = {}): Promise<Verified[]> {
  const places = slots(AT_ONCE);
  const secureContext = fingerprintContext();
  const began = performance.now();
  const ask: Ask = (target, timeoutMs) => {
    const { endpoint, servername } = target;
    return places(() => servedLeafSha256(endpoint, { servername, timeoutMs, signal: options.signal, secureContext }));
  };
  return Promise.all(targets.map((target) => verifyOne(target, ask, began, options)));
}

type Ask = (target: VerifyTarget, timeoutMs: number) => Promise<string>;

async function verifyOne(
  target: VerifyTarget,
  ask: Ask,
  began: number,
  { deadlineMs = 3000, patienceMs = deadlineMs, intervalMs = 5, confirmations = 3, signal, clock = systemClock }: VerifyOptions,
): Promise<Verified> {
  let pause = intervalMs;
  let limit = HANDSHAKE_LIMIT;
  let inARow = 0;
  let since = 0;
  for (let attempts = 1; ; attempts++) {
    const answer = await look(() => ask(target, limit));
    const elapsed = performance.now() - began;
    const right = answer.saw === target.leafSha256;
    if (right && inARow === 0) since = elapsed;
    inARow = right ? inARow + 1 : 0;
    if (inARow >= confirmations) return { target, served: true, saw: answer.saw, failure: undefined, afterMs: since, attempts };
    const late = answer.failure?.timedOut === true;
    limit = late ? Math.min(limit * 2, LONGEST_HANDSHAKE) : HANDSHAKE_LIMIT;
    if (!right && elapsed >= (late ? patienceMs : deadlineMs)) {
      const failure = answer.failure ?? wrongLeaf(target, answer.saw, elapsed);
      return { target, served: false, saw: answer.saw, failure, afterMs: elapsed, attempts };
    }
    await clock.sleep(right ? intervalMs : pause, signal);
    signal?.throwIfAborted();
    pause = right ? intervalMs : Math.min(pause * 2, LONGEST_PAUSE);
  }
}

interface Answer {
  readonly saw: string | undefined;
  readonly failure: ProbeFailure | undefined;
}

async function look(ask: () => Promise<string>): Promise<Answer> {
  try {
    return { saw: await ask(), failure: undefined };
  } catch (error) {
    if (error instanceof ProbeFailure) return { saw: undefined, failure: error };
    throw error;
  }
}

function wrongLeaf(target: VerifyTarget, saw: string | undefined, afterMs: number): ProbeFailure {
  return new ProbeFailure(target.endpoint, 'fingerprint', {
    why: `expected the leaf ${target.leafSha256} for ${target.servername ?? target.endpoint.host} and got ${saw}`,
    remedy: "see the service's log: the reload did not take the new certificate",
    afterMs,
  });
}
