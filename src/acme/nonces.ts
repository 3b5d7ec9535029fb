import { MINUTE } from '../platform/clock.ts';

/** Nonces that came with answers and were not used yet (RFC 8555 §6.5). */
export interface Nonces {
  /** The youngest, if one is left that a server may still know. */
  take(): string | undefined;
  /** Keeps one; what is no nonce (RFC 8555 §6.5.1) is ignored. */
  keep(nonce: string | undefined): void;
}

const NONCE = /^[A-Za-z0-9_-]{1,1024}$/;
/** Servers forget them after a while, and an unknown one costs as much as asking for a new one. */
const OLDEST = 5 * MINUTE;
/** As many as requests may be under way at once. */
const MOST = 64;

/** @param now a clock that is never set back, ms */
export function createNonces(now: () => number): Nonces {
  const kept: { readonly nonce: string; readonly at: number }[] = [];
  return {
    take() {
      const last = kept.pop();
      if (last === undefined || now() - last.at < OLDEST) return last?.nonce;
      // Those below it are older still.
      kept.length = 0;
      return undefined;
    },
    keep(nonce) {
      if (nonce === undefined || !NONCE.test(nonce)) return;
      if (kept.length === MOST) kept.shift();
      kept.push({ nonce, at: now() });
    },
  };
}

/** The `Replay-Nonce` of an answer where it is one (RFC 8555 §6.5.1). */
export function nonceOf(headers: Readonly<Record<string, string | string[] | undefined>>): string | undefined {
  const value = headers['replay-nonce'];
  return typeof value === 'string' && NONCE.test(value) ? value : undefined;
}
