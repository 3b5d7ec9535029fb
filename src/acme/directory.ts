import { DAY } from '../platform/clock.ts';
import { checked, JSON_TYPE } from './answers.ts';
import { failed, type Answer, type Exchange } from './exchange.ts';
import { readDirectory } from './readers.ts';
import type { Directory } from './resources.ts';

const MOST_REDIRECTS = 3;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
export const LONGEST_JSON = 256 * 1024;

/** Asks for the directory (RFC 8555 §7.1.1), following redirects within its host. */
export async function fetchDirectory(url: string, send: (exchange: Exchange) => Promise<Answer>): Promise<Directory> {
  let exchange: Exchange = { method: 'GET', url, accept: JSON_TYPE, limit: LONGEST_JSON };
  for (let followed = 0; followed <= MOST_REDIRECTS; followed += 1) {
    const answer = await send(exchange);
    if (!REDIRECTS.includes(answer.status)) return readDirectory(checked(answer));
    exchange = { ...exchange, url: redirected(answer) };
  }
  throw failed({ method: 'GET', url }, 'redirect', `more than ${MOST_REDIRECTS} redirects`);
}

function redirected({ exchange, headers }: Answer): string {
  const target = URL.parse(headers.location ?? '', exchange.url);
  const refused = (why: string): Error => failed(exchange, 'redirect', `it redirects ${why}`);
  if (target === null || headers.location === undefined) throw refused('to nowhere');
  if (target.protocol !== 'https:') throw refused(`to something that is not https (${target.protocol})`);
  if (target.host !== URL.parse(exchange.url)?.host)
    throw refused(`to another host (${target.host}): configure that one's directory if it is meant`);
  return target.href;
}

interface Asking {
  readonly directory: Promise<Directory>;
  readonly controller: AbortController;
  waiting: number;
}

/**
 * Keeps the directory for a day. Whoever asks meanwhile waits for the same request, which ends with the last of them;
 * one that failed is not kept.
 * @param now a clock that is never set back, ms
 * @param known what it was lately
 */
export function keptDirectory(
  ask: (signal: AbortSignal) => Promise<Directory>,
  now: () => number,
  known?: Directory,
): (signal: AbortSignal) => Promise<Directory> {
  let kept = known === undefined ? undefined : { directory: known, at: now() };
  let asking: Asking | undefined;

  const begin = (): Asking => {
    const controller = new AbortController();
    const begun: Asking = { directory: ask(controller.signal), controller, waiting: 0 };
    const over = (): void => {
      if (asking === begun) asking = undefined;
    };
    const keep = (directory: Directory): void => {
      kept = { directory, at: now() };
      over();
    };
    begun.directory.then(keep, over);
    return begun;
  };

  return async (signal) => {
    signal.throwIfAborted();
    if (kept !== undefined && now() - kept.at < DAY) return kept.directory;
    asking ??= begin();
    const mine = asking;
    mine.waiting += 1;
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([mine.directory, aborted]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      mine.waiting -= 1;
      if (mine.waiting === 0) {
        if (asking === mine) asking = undefined;
        mine.controller.abort();
      }
    }
  };
}
