import { judgeClock } from '../../certificate/clock-evidence.ts';
import type { StatePaths } from '../../config/state.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { currentLink } from '../../publication/layout.ts';
import { heartbeat } from './heartbeat.ts';
import { judgedBy } from './judged-by.ts';

/**
 * Up to so many certificates a pass reads them all, which costs a few milliseconds and finds also what was changed
 * behind an unchanged link. With more, the ledger is the index, and `check` and the resident service's daily look
 * read everything.
 */
export const READ_ALL_UP_TO = 100;

/**
 * The quick answer to "is anything due?": from the ledger and one readlink per certificate, without reading the
 * configuration when it is byte for byte the one that the ledger was last judged by.
 * @returns undefined when a real pass is needed
 */
export async function nothingDue(
  paths: StatePaths,
  source: { file?: string; env: Readonly<Record<string, string | undefined>>; cwd: string },
  now: number,
): Promise<{ certificates: number; nextLook: number | undefined } | undefined> {
  const [{ peekLedger }, { configDigest }] = await Promise.all([import('../../ledger/open.ts'), import('../../config/load.ts')]);
  using open = peekLedger(paths.ledger);
  if (open === undefined) return undefined;
  if (judgedBy(open) !== (await configDigest(source)).digest) return undefined;
  if (judgeClock(open.clockEvidence(now), now) !== 'right') return undefined;
  const nextLook = open.nextLook();
  if (nextLook === undefined || nextLook <= now) return undefined;
  const links = open.links();
  if (links.length <= READ_ALL_UP_TO) return undefined;
  const unchanged = links.every(({ certificate, link }) => (currentLink(paths.certificates, certificate) ?? null) === link);
  if (!unchanged || !beats(open, links.length, now)) return undefined;
  return { certificates: links.length, nextLook };
}

/** A ledger that takes no entry is something that a real pass tells of. */
function beats(ledger: Ledger, certificates: number, now: number): boolean {
  try {
    heartbeat(ledger, certificates, now);
    return true;
  } catch {
    return false;
  }
}
