import { verifyServed } from '../delivery/verify.ts';
import { SECOND, type Clock } from '../platform/clock.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { watchPublication } from '../publication/watch.ts';
import { hangBell } from './consumer/bell.ts';
import { chooseGeneration, type Take } from './consumer/choose.ts';
import { LOOK_WITHIN, deliver, verifyAll, type Delivery, type Tally } from './consumer/deliver.ts';
import type { Hold } from './consumer/hold.ts';
import { alarmsOf, notReadyBecause, reportCertificate, unseenAlarm, type CertificateReport } from './consumer/report.ts';
import { newTrack, retryAtOf, type Track } from './consumer/track.ts';
import type { DaemonReport, TlsService } from './service.ts';

export interface ConsumerOptions {
  readonly service: TlsService;
  /** The publication; it is only read. */
  readonly root: string;
  readonly hold: Hold;
  readonly clock: Clock;
  readonly log: Log;
  /** How often the links are read, where a file system tells of no changes, ms. */
  readonly pollMs?: number;
  readonly verify?: typeof verifyServed;
}

export interface ConsumerReport {
  /** Absolute path of the publication that it looks at. */
  readonly publication: string;
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly certificates: readonly CertificateReport[];
  readonly daemons: readonly DaemonReport[];
  readonly alarms: readonly string[];
  readonly tally: Readonly<Tally>;
}

export interface Consumer extends AsyncDisposable {
  report(): ConsumerReport;
  /** The service wants other certificates or has something else to apply; what was refused is tried again. */
  reconfigured(): void;
  /** A daemon ended or was started again: everything is looked at again. */
  daemonChanged(): void;
  /** Resolves after the first delivery; rejects when the service could not be started at all. */
  readonly started: Promise<void>;
}

const POLL = 2 * SECOND;
/** Without any news, everything is looked at this often: time passes, and refusals are tried again. */
const LOOK_ANYWAY = 30 * SECOND;
/** Renewals that come together go into one reload: as long as they come this close, and not longer in all. */
const QUIET = 5;
/** A batch is published with pauses for the disk. */
const QUIET_IN_BATCH = 10;
const LONGEST_COLLECTING = 20;
/** And for each that has come, as long as a reload would take for it alone: waiting is cheaper then. */
const COLLECTING_EACH = 1;
const RETRY_APPLY = [1, 2, 5, 15, 60].map((seconds) => seconds * SECOND);
/** How soon daemons are looked at again that do not serve what they should. */
const LOOK_AGAIN = 2 * SECOND;
/** How often they are told again. */
const TELL_AGAIN = [5, 60, 300, 900, 3600].map((seconds) => seconds * SECOND);

/**
 * Keeps a service on the published certificates: notice, check, copy, reload, verify (DESIGN §2).
 * One thing happens at a time; what arrives meanwhile waits and goes into the next reload together.
 */
export function startConsumer(options: ConsumerOptions): Consumer {
  const { service, root, hold, clock, log } = options;
  const lifetime = new AbortController();
  const { signal } = lifetime;
  const tracks = new Map<string, Track>();
  const tally: Tally = { reloads: 0, failedReloads: 0, refusals: 0, returns: 0 };
  const delivery: Delivery = { service, hold, tracks, clock, log, tally, signal, verify: options.verify ?? verifyServed };
  const bell = hangBell(clock);
  const dirty = new Set<string>();
  const troubles = new Map<string, string>();
  let told: readonly string[] = [];
  /** Counted up whenever something besides a new certificate is to be applied. */
  let wishes = 0;
  let appliedWishes = 0;
  let mustVerify = false;
  let failedApplies = 0;
  let applyAt = 0;
  let watching = new AbortController();

  function watch(): void {
    watching.abort();
    watching = new AbortController();
    const names = new Map(service.wanted().map(({ name, at = name }) => [at, name]));
    watchPublication(root, {
      names: [...names.keys()],
      pollMs: options.pollMs ?? POLL,
      signal: AbortSignal.any([signal, watching.signal]),
      onChange(name) {
        troubles.delete('publication');
        dirty.add(names.get(name) ?? name);
        bell.ring();
      },
      onTrouble(line) {
        if (troubles.get('publication') !== line) log.warn({ trouble: line }, 'the publication is in trouble');
        troubles.set('publication', line);
        for (const name of names.values()) dirty.add(name);
        bell.ring();
      },
    });
  }

  function adoptWishes(): void {
    const wanted = new Map(service.wanted().map((one) => [one.name, one]));
    for (const name of tracks.keys()) if (!wanted.has(name)) tracks.delete(name);
    for (const [name, one] of wanted) {
      const track = tracks.get(name) ?? newTrack(one, clock.now());
      track.wanted = one;
      track.refusals.clear();
      track.judged = undefined;
      tracks.set(name, track);
      dirty.add(name);
    }
    wishes += 1;
    applyAt = 0;
    watch();
  }

  async function collect(): Promise<void> {
    const began = performance.now();
    let size = 0;
    while (dirty.size > size && performance.now() - began < LONGEST_COLLECTING + COLLECTING_EACH * size) {
      size = dirty.size;
      await clock.sleep(size > 1 ? QUIET_IN_BATCH : QUIET, signal);
    }
  }

  async function choose(names: readonly string[]): Promise<Take[]> {
    const now = clock.now();
    const takes = await Promise.all(
      names.map(async (name) => {
        const track = tracks.get(name);
        if (track === undefined) return undefined;
        try {
          return await chooseGeneration(root, track, hold.certificates.get(name), now);
        } catch (error) {
          log.error({ certificate: name, error: describeError(error) }, 'the publication cannot be looked at');
          track.judged = undefined;
          return undefined;
        }
      }),
    );
    return takes.filter((take) => take !== undefined);
  }

  /** A copy that somebody changed or removed must be made again before any daemon reads it. */
  function dropDamaged(): void {
    for (const name of hold.certificates.keys()) {
      if (hold.intact(name)) continue;
      log.error({ certificate: name }, 'the copy in the runtime directory was changed by somebody else: it is made again');
      hold.drop(name);
      const track = tracks.get(name);
      if (track !== undefined) track.judged = undefined;
      dirty.add(name);
      wishes += 1;
    }
  }

  async function pass(): Promise<void> {
    dropDamaged();
    const names = [...dirty];
    dirty.clear();
    const takes = await choose(names);
    if ([...tracks.values()].every(({ published }) => published !== undefined)) troubles.delete('publication');
    const wish = wishes;
    try {
      if (service.foreign === true && takes.length === 0) {
        await lookAtForeign();
        appliedWishes = wish;
      } else if (takes.length > 0 || (wish !== appliedWishes && clock.now() >= applyAt)) {
        await deliver(delivery, takes);
        appliedWishes = wish;
        mustVerify = false;
        failedApplies = 0;
        troubles.delete('apply');
        for (const { track } of takes) if (!hold.certificates.has(track.wanted.name)) lookAgain(track);
        for (const name of hold.certificates.keys()) if (!tracks.has(name)) hold.drop(name);
      } else if (mustVerify) {
        mustVerify = false;
        await verifyAll(delivery);
      } else if (!allSeen()) {
        await verifyAll(delivery, LOOK_WITHIN);
      }
    } catch (error) {
      if (signal.aborted) return;
      wishes += 1;
      for (const { track } of takes) track.judged = undefined;
      const pauses = service.foreign === true ? TELL_AGAIN : RETRY_APPLY;
      applyAt = clock.now() + (pauses[Math.min(failedApplies, pauses.length - 1)] ?? 0);
      failedApplies += 1;
      troubles.set('apply', `${service.name} cannot apply its certificates: ${describeError(error)}`);
      if (!running && service.foreign !== true) throw error;
    }
    tellChanges();
  }

  /** Looks at daemons that others run, and tells them again, ever more rarely, when they serve something else. */
  async function lookAtForeign(): Promise<void> {
    const silent = [...tracks.values()].filter((track) => track.silent);
    const wrong = await verifyAll(delivery, LOOK_WITHIN);
    if (wrong.size === 0) {
      failedApplies = 0;
      applyAt = 0;
      troubles.delete('apply');
    } else if ([...wrong.keys()].some((name) => tracks.get(name)?.silent === false) && clock.now() >= applyAt) {
      applyAt = clock.now() + (TELL_AGAIN[Math.min(failedApplies, TELL_AGAIN.length - 1)] ?? 0);
      failedApplies += 1;
      await deliver(delivery, []);
      troubles.delete('apply');
    }
    // What was refused while nobody was there to serve it was perhaps not at fault.
    for (const track of silent) {
      if (track.silent || track.refusals.size === 0) continue;
      track.refusals.clear();
      lookAgain(track);
    }
  }

  /** Refused, and nothing else is served: one of the kept generations may do. */
  function lookAgain(track: Track): void {
    track.judged = undefined;
    dirty.add(track.wanted.name);
  }

  function tellChanges(): void {
    const { alarms } = report();
    for (const alarm of alarms) if (!told.includes(alarm)) log.error({ alarm }, 'alarm');
    for (const alarm of told) if (!alarms.includes(alarm)) log.info({ alarm }, 'alarm is over');
    told = alarms;
  }

  function report(): ConsumerReport {
    const now = clock.now();
    const certificates = [...tracks.values()].map((track) => reportCertificate(track, hold.certificates.get(track.wanted.name), now));
    const daemons = service.daemons();
    const reasons = notReadyBecause(certificates, daemons, troubles.values());
    const unseen = service.foreign === true ? [...tracks.values()].flatMap(unseenAlarm) : [];
    return {
      publication: root,
      ready: reasons.length === 0,
      reasons,
      certificates,
      daemons,
      alarms: [...alarmsOf(certificates, daemons, troubles.values()), ...unseen],
      tally,
    };
  }

  function allSeen(): boolean {
    return [...tracks.values()].every((track) => track.seen !== undefined || !hold.certificates.has(track.wanted.name));
  }

  /** How long nothing needs to be done without news, ms. */
  function idleFor(): number {
    const now = clock.now();
    if (service.foreign !== true && wishes !== appliedWishes) return Math.min(LOOK_ANYWAY, Math.max(0, applyAt - now));
    const retries = [...tracks.values()].flatMap((track) => retryAtOf(track) ?? []);
    return Math.min(allSeen() ? LOOK_ANYWAY : LOOK_AGAIN, ...retries.map((at) => Math.max(LOOK_AGAIN, at - now)));
  }

  let running = false;
  const started = Promise.withResolvers<void>();
  started.promise.catch(() => undefined);

  async function run(): Promise<void> {
    adoptWishes();
    try {
      await pass();
      running = true;
      started.resolve();
    } catch (error) {
      started.reject(error);
      return;
    }
    while (!signal.aborted) {
      if (dirty.size === 0 && !mustVerify) await bell.wait(idleFor());
      if (signal.aborted) break;
      if (dirty.size > 0) await collect();
      else for (const name of tracks.keys()) dirty.add(name);
      await pass();
    }
  }

  const ended = run();
  return {
    report,
    reconfigured() {
      adoptWishes();
      bell.ring();
    },
    daemonChanged() {
      for (const track of tracks.values()) track.seen = undefined;
      mustVerify = service.daemons().every(({ state }) => state === 'running');
      bell.ring();
    },
    started: started.promise,
    async [Symbol.asyncDispose]() {
      lifetime.abort();
      bell.ring();
      // A reload that hangs ends with its daemon, which is stopped after us; one of others' gets time to end well.
      const over = new AbortController();
      await Promise.race([ended, clock.sleep(service.foreign === true ? 3 * SECOND : SECOND / 2, over.signal)]);
      over.abort();
    },
  };
}
