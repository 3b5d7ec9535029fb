import { verifyServed, type Verified } from '../../delivery/verify.ts';
import type { Clock } from '../../platform/clock.ts';
import { describeError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import type { ServedAt, TlsService } from '../service.ts';
import type { Take } from './choose.ts';
import type { Hold } from './hold.ts';
import { refuse, type Track } from './track.ts';

const LOOKS_PER_PORT = 3;

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
  const { hold, log } = delivery;
  for (const take of takes) {
    hold.put(take.track.wanted.name, take.generation);
    take.track.warnings = take.warnings;
    take.track.notSeenBecause = undefined;
  }
  try {
    await applied(delivery, takes);
  } catch (error) {
    if (takes.length === 0) throw error;
    for (const take of takes) hold.back(take.track.wanted.name);
    log.error({ certificates: namesOf(takes), error: describeError(error) }, 'new certificates were not taken: going back');
    delivery.tally.returns += 1;
    await applied(delivery, []);
    await verifyAll(delivery);
    const [only, ...more] = takes;
    if (more.length > 0) for (const take of takes) await deliver(delivery, [take]);
    else if (only !== undefined) refused(delivery, only, describeError(error));
    return;
  }
  const wrong = await verifyNames(delivery, takes.length === 0 ? [...delivery.tracks.keys()] : namesOf(takes));
  const back = takes.filter((take) => wrong.has(take.track.wanted.name));
  if (back.length === 0) return;
  for (const take of back) {
    const name = take.track.wanted.name;
    const why = wrong.get(name) ?? '';
    hold.back(name);
    refused(delivery, take, why);
    log.error({ certificate: name, generation: take.generation.number, why }, 'the new certificate is not served: going back');
  }
  delivery.tally.returns += 1;
  await applied(delivery, []);
  await verifyNames(delivery, namesOf(back));
}

/** Looks at every endpoint and notes what is served. */
export async function verifyAll(delivery: Delivery): Promise<void> {
  await verifyNames(delivery, [...delivery.tracks.keys()]);
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

function refused({ clock, tally }: Delivery, take: Take, why: string): void {
  tally.refusals += 1;
  refuse(take.track, take.identity, why, clock.now());
}

/** @returns why, by the names that are not served everywhere */
async function verifyNames(delivery: Delivery, names: readonly string[]): Promise<Map<string, string>> {
  const { service, hold, tracks, clock, signal } = delivery;
  const places = service.servedAt(hold.certificates).filter((place) => names.includes(place.certificate));
  const targets = places.map(({ endpoint, servername, certificate }) => ({
    endpoint,
    servername,
    leafSha256: hold.certificates.get(certificate)?.leafSha256 ?? '',
  }));
  const began = clock.now();
  const results = await delivery.verify(targets, { signal, confirmations: confirmationsFor(places) });
  const wrong = new Map<string, string>();
  for (const name of names) {
    const track = tracks.get(name);
    const held = hold.certificates.get(name);
    if (track === undefined || held === undefined) continue;
    const its = results.filter((_, index) => places[index]?.certificate === name);
    const failure = its.find((result) => !result.served);
    track.seen = failure === undefined ? held : undefined;
    track.notSeenBecause = failure === undefined ? undefined : reasonOf(failure);
    if (failure !== undefined) wrong.set(name, reasonOf(failure));
    else if (track.switchedAt !== undefined && track.published?.leafSha256 === held.leafSha256) {
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
