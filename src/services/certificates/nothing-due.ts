import { judgeClock } from '../../certificate/clock-evidence.ts';
import type { StatePaths } from '../../config/state.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { currentLink } from '../../publication/read.ts';

const DIGEST = 'config-digest';

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
  if (open.value(DIGEST) !== (await configDigest(source)).digest) return undefined;
  if (judgeClock(open.clockEvidence(now), now) !== 'right') return undefined;
  const nextLook = open.nextLook();
  if (nextLook === undefined || nextLook <= now) return undefined;
  const links = open.links();
  const unchanged = links.every(({ certificate, link }) => (currentLink(paths.certificates, certificate) ?? null) === link);
  return unchanged ? { certificates: links.length, nextLook } : undefined;
}

/** Notes which configuration the ledger was judged by, after a pass over all of it. */
export function rememberDigest(ledger: Ledger, { digest }: { digest: string }): void {
  ledger.keepValue(DIGEST, digest);
}
