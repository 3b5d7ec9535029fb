import type { Identifier } from '../../certificate/identifier.ts';
import { DAY, SECOND } from '../../platform/clock.ts';
import { LONGEST_LEAF_LIFETIME } from '../leaf.ts';
import { includes, permitsAll } from './constraints.ts';
import { ANNOUNCEMENT, type Root } from './root.ts';

/**
 * The root that signs a leaf of that lifetime for those identifiers now, or undefined when none can.
 * Everything follows from the roots' own dates: no state could be lost, restored wrongly or disagree with them.
 *
 * A root can sign when it has its key, has begun, permits every name and outlives the leaf. Among those the newest
 * that has been announced for 30 days signs; when none has, the oldest, which the most clients know.
 */
export function chooseRoot(
  roots: readonly Root[],
  identifiers: readonly Identifier[],
  now: number,
  leafLifetime: number,
): Root | undefined {
  const able = byAge(roots).filter(
    (root) =>
      root.hasKey && root.notBefore <= now && now + leafLifetime <= root.notAfter + SECOND && permitsAll(root.constraints, identifiers),
  );
  return able.findLast((root) => root.signsFrom <= now) ?? able[0];
}

/** The need is seen only when somebody looks: a timer may do that once a week. */
const LOOKS_APART = 7 * DAY;

/** Why a further root is made. */
export type RootReason = 'there is none' | 'none permits all names' | 'the present one nears its end' | 'none can sign now';

/**
 * Why a further root must be made now, or undefined when there is one that can sign for these identifiers and
 * will, even after the announcement of a successor, outlive the longest leaf.
 */
export function rootNeeded(roots: readonly Root[], identifiers: readonly Identifier[], now: number): RootReason | undefined {
  if (chooseRoot(roots, identifiers, now, LOOKS_APART + ANNOUNCEMENT + LONGEST_LEAF_LIFETIME) !== undefined) return undefined;
  if (roots.length === 0) return 'there is none';
  if (chooseRoot(roots, identifiers, now, 0) !== undefined) return 'the present one nears its end';
  return roots.some((root) => permitsAll(root.constraints, identifiers)) ? 'none can sign now' : 'none permits all names';
}

/**
 * The roots that clients must trust: those that sign, will sign, or may have signed a leaf that still lives.
 * A root is out of use when a newer one that permits all that it permits has been announced for 30 days; its last
 * leaf ends at most 397 days after that.
 */
export function rootsToTrust(roots: readonly Root[], now: number): Root[] {
  return byAge(roots).filter((root) => {
    const supersededAt = Math.min(
      ...roots
        .filter((other) => other.hasKey && other.announcedAt > root.announcedAt && includes(other.constraints, root.constraints))
        .map((other) => other.signsFrom),
    );
    return now <= Math.min(root.notAfter, supersededAt + LONGEST_LEAF_LIFETIME);
  });
}

/** The successor that is shown but does not sign for these identifiers yet. */
export function announcedRoot(
  roots: readonly Root[],
  identifiers: readonly Identifier[],
  now: number,
  signing: Root | undefined,
): Root | undefined {
  return byAge(roots).findLast(
    (root) =>
      root.hasKey &&
      root.announcedAt > (signing?.announcedAt ?? Infinity) &&
      now < root.signsFrom &&
      permitsAll(root.constraints, identifiers),
  );
}

function byAge(roots: readonly Root[]): Root[] {
  return roots.toSorted((one, other) => one.announcedAt - other.announcedAt || one.number - other.number);
}
