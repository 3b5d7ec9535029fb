import { DAY, HOUR, MINUTE } from '../platform/clock.ts';

/**
 * What a CA last said about when to renew one certificate (RFC 9773), and the time that was chosen from it.
 * Times are ms since the epoch.
 */
export interface Advice {
  /** RFC 9773 §4.1; advice about another leaf is worth nothing. */
  readonly certificateId: string;
  /** The suggested window, or undefined while the CA has given none that can be used. */
  readonly window: { readonly start: number; readonly end: number } | undefined;
  /** Uniformly chosen within the window; kept while the window stands. */
  readonly chosen: number | undefined;
  readonly explanationUrl: string | undefined;
  /** When the CA is to be asked again. */
  readonly nextAsk: number;
  /** How often in a row asking failed with a 5xx or a time-out. */
  readonly failures: number;
}

/** What asking the CA came to. */
export type AdviceAnswer =
  | {
      readonly kind: 'info';
      /** ms since the epoch */
      readonly start: number;
      readonly end: number;
      readonly explanationUrl: string | undefined;
      /** `Retry-After`, ms from now; undefined where it is missing or cannot be read. */
      readonly retryAfter: number | undefined;
    }
  /** An invalid object, no address, a refused connection, an error that is not a 5xx (RFC 9773 §4.3.3: long-term). */
  | { readonly kind: 'unusable' }
  /** A 5xx or a time-out (RFC 9773 §4.3.3: temporary). */
  | { readonly kind: 'failed' };

/** RFC 9773 §4.3.1: what `Retry-After` says is believed within these bounds. */
const SHORTEST_RETRY = MINUTE;
export const LONGEST_RETRY = DAY;
/** RFC 9773 §4.3.3, for long-term errors. */
const WITHOUT_ADVICE = 6 * HOUR;
const FIRST_REPEAT = MINUTE;
/** Certificates whose CA was down together shall not all ask in the same second. */
const JITTER = 0.2;

/**
 * Takes in what a CA answered. A usable window replaces the known one; the time chosen in it stays for as long as
 * the window does, so that asking often does not draw a time again and again until an early one comes up. An answer
 * that cannot be used takes nothing back: the last good window holds. A chosen time that is past means now.
 * Whoever waits wakes at the earlier of `chosen` and `nextAsk`: no window is too narrow to be met.
 * @param random in [0, 1)
 */
export function takeAdvice(options: {
  readonly previous: Advice | undefined;
  readonly certificateId: string;
  readonly answer: AdviceAnswer;
  readonly now: number;
  readonly random: number;
}): Advice {
  const { certificateId, answer, now, random } = options;
  const known = options.previous?.certificateId === certificateId ? options.previous : without(certificateId);
  if (answer.kind === 'failed') {
    const delay = Math.min(FIRST_REPEAT * 2 ** known.failures, WITHOUT_ADVICE) * (1 + JITTER * random);
    return { ...known, nextAsk: now + Math.round(delay), failures: known.failures + 1 };
  }
  if (answer.kind === 'unusable' || !isWindow(answer)) return { ...known, nextAsk: now + WITHOUT_ADVICE, failures: 0 };
  const { start, end, explanationUrl } = answer;
  const stands = known.window?.start === start && known.window.end === end;
  return {
    certificateId,
    window: { start, end },
    chosen: stands && known.chosen !== undefined ? known.chosen : Math.round(start + random * (end - start)),
    explanationUrl,
    nextAsk: now + retryDelay(answer.retryAfter),
    failures: 0,
  };
}

function without(certificateId: string): Advice {
  return { certificateId, window: undefined, chosen: undefined, explanationUrl: undefined, nextAsk: 0, failures: 0 };
}

/** RFC 9773 §4.2: an end that is not after the start is no answer. */
function isWindow({ start, end }: { start: number; end: number }): boolean {
  return Number.isFinite(start) && Number.isFinite(end) && start < end;
}

function retryDelay(retryAfter: number | undefined): number {
  if (retryAfter === undefined || Number.isNaN(retryAfter)) return WITHOUT_ADVICE;
  return Math.round(Math.min(Math.max(retryAfter, SHORTEST_RETRY), LONGEST_RETRY));
}
