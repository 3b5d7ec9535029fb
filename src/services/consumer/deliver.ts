import { verifyServed, type Verified } from '../../delivery/verify.ts';
import { SECOND, type Clock } from '../../platform/clock.ts';
import { describeError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import type { ServedAt, TlsService } from '../service.ts';
import type { Take } from './choose.ts';
import type { Hold } from './hold.ts';
import { refuse, type Track } from './track.ts';

const LOOKS_PER_PORT = 3;
/** With nothing held, a check that fails may be about something that is not there yet. */
const SOON = 5 * SECOND;
/** How long a daemon that is only slow to answer is waited for before the certificate is taken back, ms. */
const PATIENCE = 10 * SECOND;
/** How long a look may take that follows no reload. */
export const LOOK_WITHIN = SECOND;

export interface Delivery {
  readonly service: TlsService;
  readonly hold: Hold;
  readonly tracks: ReadonlyMap<string, Track>;
  readonly clock: Clock;
  readonly log: Log;
  readonly tally: Tally;
  readonly signal: AbortSignal;
  readonly verify: typeof verifyServed;
}

/** Why a certificate was not seen served. */
export interface Unseen {
  readonly why: string;
  /** Nothing wrong was seen: the answers did not come in time. */
  readonly timedOut: boolean;
}

/** Counted since the start, for /metrics. */
export interface Tally {
  reloads: number;
  failedReloads: number;
  refusals: number;
  returns: number;
}

/**
 * Copies what was chosen, has the service apply it in one go, and looks at every endpoint. What is not served goes
 * back to what was there before, is remembered as refused, and the rest stays. When the service fails as a whole,
 * everything goes back, and the certificates are tried one by one: one bad one holds up no other.
 * @throws whatever the service throws when it cannot even apply what was there before
 */
export async function deliver(delivery: Delivery, takes: readonly Take[]): Promise<void> {
  const { service, hold, log } = delivery;
  const first = takes.every((take) => !hold.certificates.has(take.track.wanted.name));
  for (const take of takes) {
    hold.put(take.track.wanted.name, take.generation);
    take.track.warnings = take.warnings;
    take.track.notSeenBecause = undefined;
  }
  if (takes.length > 0 && !(await passCheck(delivery, takes, first))) return;
  const stays = service.foreign === true && first && takes.length > 0;
  if (stays) {
    await verifyNames(delivery, namesOf(takes), LOOK_WITHIN);
    // Who is not there yet reads the copy at its start, and who serves it already needs to be told nothing.
    if (takes.every(({ track }) => track.silent || track.seen !== undefined)) return;
  }
  try {
    await applied(delivery, takes);
  } catch (error) {
    if (takes.length === 0 || stays || delivery.signal.aborted) throw error;
    for (const take of takes) hold.back(take.track.wanted.name);
    log.error({ certificates: namesOf(takes), error: describeError(error) }, 'new certificates were not taken: going back');
    await returned(delivery);
    await verifyAll(delivery);
    const [only, ...more] = takes;
    if (more.length > 0) for (const take of takes) await deliver(delivery, [take]);
    else if (only !== undefined) refused(delivery, only, describeError(error));
    return;
  }
  const wrong = await verifyNames(
    delivery,
    takes.length === 0 ? [...delivery.tracks.keys()] : [...namesOf(takes), ...unseenBeside(delivery, takes)],
  );
  const back = stays ? [] : takes.filter((take) => wrong.has(take.track.wanted.name));
  if (back.length === 0) return;
  for (const take of back) {
    const name = take.track.wanted.name;
    const { why = '', timedOut = false } = wrong.get(name) ?? {};
    hold.back(name);
    refused(delivery, take, why, timedOut ? 'late' : undefined);
    log.error({ certificate: name, generation: take.generation.number, why }, 'the new certificate is not served: going back');
  }
  await returned(delivery);
  await verifyNames(delivery, namesOf(back));
}

/**
 * Looks at every endpoint and notes what is served.
 * @param deadlineMs how long a wrong answer is asked for again, instead of the time after a reload
 * @returns why, by the names that are not served everywhere
 */
export function verifyAll(delivery: Delivery, deadlineMs?: number): Promise<Map<string, Unseen>> {
  return verifyNames(delivery, [...delivery.tracks.keys()], deadlineMs);
}

/** What is held and waited for these to be served, as the names of a mail server for that of its host. */
function unseenBeside({ tracks, hold }: Delivery, takes: readonly Take[]): string[] {
  const names = namesOf(takes);
  return [...tracks].flatMap(([name, { seen }]) =>
    seen === undefined && hold.certificates.has(name) && !names.includes(name) ? [name] : [],
  );
}

/** Whether the daemons' own check lets the new copies pass; if not, the former ones are back and nothing else happened. */
async function passCheck(delivery: Delivery, takes: readonly Take[], first: boolean): Promise<boolean> {
  const { service, hold, log, clock } = delivery;
  try {
    await service.check?.(hold.certificates);
    return true;
  } catch (error) {
    if (delivery.signal.aborted) throw error;
    for (const take of takes) hold.back(take.track.wanted.name);
    log.error({ certificates: namesOf(takes), error: describeError(error) }, 'the check refuses new certificates: they are not applied');
    const [only, ...more] = takes;
    if (more.length > 0) for (const take of takes) await deliver(delivery, [take]);
    else if (only !== undefined) refused(delivery, only, describeError(error), first ? clock.now() + SOON : undefined);
    return false;
  }
}

/** Has what was there before served again. Daemons of others may be gone: then a look says whether that matters. */
async function returned(delivery: Delivery): Promise<void> {
  delivery.tally.returns += 1;
  try {
    await applied(delivery, []);
  } catch (error) {
    if (delivery.service.foreign !== true || delivery.signal.aborted) throw error;
    delivery.log.error({ error: describeError(error) }, 'what was served before could not be applied again');
  }
}

async function applied({ service, hold, tally, clock }: Delivery, takes: readonly Take[]): Promise<void> {
  const began = clock.now();
  try {
    tally.reloads += 1;
    await service.apply(hold.certificates);
  } catch (error) {
    tally.failedReloads += 1;
    throw error;
  }
  for (const { track } of takes) track.lastReloadMs = clock.now() - began;
}

function refused({ clock, tally }: Delivery, take: Take, why: string, retryAt?: number | 'late'): void {
  tally.refusals += 1;
  refuse(take.track, take.identity, why, clock.now(), retryAt);
}

/** @returns why, by the names that are not served everywhere */
async function verifyNames(delivery: Delivery, names: readonly string[], deadlineMs?: number): Promise<Map<string, Unseen>> {
  const { service, hold, tracks, clock, signal } = delivery;
  const places = service.servedAt(hold.certificates).filter((place) => names.includes(place.certificate));
  const targets = places.map(({ endpoint, servername, certificate }) => ({
    endpoint,
    servername,
    leafSha256: hold.certificates.get(certificate)?.leafSha256 ?? '',
  }));
  const began = clock.now();
  const results = await delivery.verify(targets, {
    signal,
    confirmations: confirmationsFor(places),
    ...(deadlineMs === undefined ? { patienceMs: PATIENCE } : { deadlineMs }),
  });
  const wrong = new Map<string, Unseen>();
  for (const name of names) {
    const track = tracks.get(name);
    const held = hold.certificates.get(name);
    if (track === undefined || held === undefined) continue;
    const its = results.filter((_, index) => places[index]?.certificate === name);
    if (its.length === 0 && service.foreign !== true) {
      track.seen = undefined;
      track.notSeenBecause = `${service.name} serves it nowhere yet`;
      continue;
    }
    const failure = its.find((result) => !result.served);
    track.seen = failure === undefined ? held : undefined;
    track.notSeenBecause = failure === undefined ? undefined : reasonOf(failure);
    track.silent = failure !== undefined && its.every((result) => result.failure?.step === 'tcp');
    if (failure !== undefined) {
      const failures = its.flatMap((result) => (result.served ? [] : [result.failure]));
      wrong.set(name, { why: reasonOf(failure), timedOut: failures.every((one) => one?.timedOut === true) });
      continue;
    }
    hold.confirm(name);
    if (track.switchedAt !== undefined && track.published?.leafSha256 === held.leafSha256) {
      track.servedAfterMs = Math.max(0, began + Math.max(0, ...its.map((result) => result.afterMs)) - track.switchedAt);
      track.switchedAt = undefined;
    }
  }
  return wrong;
}

/** Old processes may answer for a moment after a reload; many names on one port are many looks at it. */
function confirmationsFor(places: readonly ServedAt[]): number {
  const perPort = new Map<string, number>();
  for (const { endpoint } of places) perPort.set(endpoint.url, (perPort.get(endpoint.url) ?? 0) + 1);
  return Math.max(1, Math.ceil(LOOKS_PER_PORT / Math.min(...perPort.values())));
}

function reasonOf(result: Verified): string {
  return result.failure === undefined ? 'another certificate is served' : describeError(result.failure);
}

function namesOf(takes: readonly Take[]): string[] {
  return takes.map((take) => take.track.wanted.name);
}
