import { lstatSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { leafSha256 } from '../../certificate/bundle.ts';
import { generationDirectory, generationNumber } from '../../certificate/generation.ts';
import { PodserveError, messageOf } from '../../platform/errors.ts';
import { currentLink } from '../../publication/layout.ts';
import { keptGenerations, readCurrent, readGeneration, type Generation } from '../../publication/read.ts';
import type { HeldCertificate } from '../service.ts';
import { datesOf, judgeBundle, validAt } from './check.ts';
import { refuse, type Track } from './track.ts';

/** A generation that passed every check and shall be served. */
export interface Take {
  readonly track: Track;
  readonly generation: Generation;
  /** Identity of the generation, for `refuse`. */
  readonly identity: string;
  readonly warnings: readonly string[];
}

/**
 * Looks at what is published under a name and decides what to take, if anything. Notes in the track what was
 * found and what was refused. Only while nothing valid is held does it look further than the current generation:
 * then at the kept ones, newest first, and at last for an expired one that at least loads.
 */
export async function chooseGeneration(
  root: string,
  track: Track,
  held: HeldCertificate | undefined,
  now: number,
): Promise<Take | undefined> {
  const { name, at = name } = track.wanted;
  const link = currentLink(root, at);
  const identity = link === undefined ? undefined : (identityOf(join(root, at, link)) ?? `${join(root, at, link)}:gone`);
  if (identity !== undefined && identity === track.judged && !retryDue(track, identity, now)) return undefined;
  const first = track.judged === undefined && held === undefined;
  track.judged = identity;
  track.published = undefined;
  if (link !== undefined && identity !== undefined) {
    track.switchedAt = first ? undefined : switchTime(join(root, at, '..data'));
    const current = await readable(track, identity, now, () => readCurrent(root, at));
    track.published = {
      generation: current?.number ?? generationNumber(link),
      leafSha256: current === undefined ? undefined : leafSha256(current.bundle.leaf),
      notAfter: current === undefined ? undefined : datesOf(current.bundle).notAfter,
    };
    forgetOthers(track, identity, held);
    const taken = current === undefined ? undefined : judged(track, current, identity, held, now);
    if (taken !== undefined && (validAt(datesOf(taken.generation.bundle), now) || held !== undefined)) return taken;
    if (held !== undefined && validAt(held, now)) return taken;
    return (await bestKept(root, track, current, held, now)) ?? taken;
  }
  return held === undefined ? bestKept(root, track, undefined, held, now) : undefined;
}

/** Whether a refused generation may be tried again now. */
function retryDue(track: Track, identity: string, now: number): boolean {
  const refusal = track.refusals.get(identity);
  return refusal !== undefined && refusal.retryAt <= now;
}

function judged(track: Track, generation: Generation, identity: string, held: HeldCertificate | undefined, now: number): Take | undefined {
  if (held !== undefined && held.leafSha256 === leafSha256(generation.bundle.leaf)) {
    track.refusals.delete(identity);
    return undefined;
  }
  const refusal = track.refusals.get(identity);
  if (refusal !== undefined && refusal.retryAt > now) return undefined;
  const verdict = judgeBundle(generation.bundle, held, track.wanted.identifiers, now);
  if (verdict.take) return { track, generation, identity, warnings: verdict.warnings };
  refuse(track, identity, verdict.why, now, verdict.notBefore);
  return undefined;
}

async function bestKept(
  root: string,
  track: Track,
  current: Generation | undefined,
  held: HeldCertificate | undefined,
  now: number,
): Promise<Take | undefined> {
  const { name, at = name } = track.wanted;
  let expired: Take | undefined;
  for (const number of await keptOf(root, at)) {
    if (number === current?.number) continue;
    const directory = join(root, at, generationDirectory(number));
    const identity = identityOf(directory);
    if (identity === undefined || track.refusals.has(identity)) continue;
    const generation = await readable(track, identity, now, () => readGeneration(directory));
    const take = generation === undefined ? undefined : judged(track, generation, identity, held, now);
    if (take === undefined) continue;
    const dates = datesOf(take.generation.bundle);
    if (validAt(dates, now)) return take;
    // Of those that are not valid now, the one that was valid longest, and never one older than the current.
    const best = expired?.generation.bundle ?? current?.bundle;
    if (best === undefined || dates.notAfter > datesOf(best).notAfter) expired = take;
  }
  return expired;
}

async function readable(
  track: Track,
  identity: string,
  now: number,
  read: () => Promise<Generation | undefined>,
): Promise<Generation | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof PodserveError)) throw error;
    refuse(track, identity, [error.where, error.why ?? messageOf(error)].filter(Boolean).join(': '), now);
    return undefined;
  }
}

async function keptOf(root: string, name: string): Promise<readonly number[]> {
  try {
    return await keptGenerations(root, name);
  } catch (error) {
    if (error instanceof PodserveError) return [];
    throw error;
  }
}

/** Refusals are remembered for what could be tried: the current generation, and while nothing is held the kept ones. */
function forgetOthers(track: Track, identity: string, held: HeldCertificate | undefined): void {
  if (held === undefined) return;
  for (const other of track.refusals.keys()) if (other !== identity) track.refusals.delete(other);
}

/** Tells a generation from another of the same number, as after a publication was deleted and made anew. */
function identityOf(directory: string): string | undefined {
  const stat = statSync(directory, { throwIfNoEntry: false });
  return stat === undefined ? undefined : `${directory}:${stat.dev}:${stat.ino}:${stat.ctimeMs}`;
}

/** rename(2) sets the change time of the link: the moment from which every reader is led to the generation. */
function switchTime(link: string): number | undefined {
  return lstatSync(link, { throwIfNoEntry: false })?.ctimeMs;
}
