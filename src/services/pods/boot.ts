import { createHash } from 'node:crypto';

import type { StatePaths } from '../../config/state.ts';
import { MINUTE, SECOND, type Clock } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import { currentLink, listNames } from '../../publication/layout.ts';
import type { DeployFile } from './files.ts';
import { deletedMounts } from './mounts.ts';
import type { Podman } from './podman.ts';
import { listPods, MADE_FROM, type Pod } from './pods.ts';
import { assertPortsFree } from './ports.ts';
import { askReady, lastWords, type Readiness } from './ready.ts';

export interface BootOptions {
  readonly podman: Podman;
  /** In boot order. */
  readonly files: readonly DeployFile[];
  /** What the pods mount. */
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Of `podman kube play`; undefined for podman's default. */
  readonly network: string | undefined;
  /** How long each pod may take until it is ready, ms. */
  readonly timeoutMs: number;
  /** Makes images that are not there. */
  readonly build: (missing: readonly string[]) => Promise<void>;
  /** Progress: one line a step. */
  readonly say: (subject: string, what: string) => void;
}

export interface BootedPod {
  readonly name: string;
  readonly outcome: 'unchanged' | 'started' | 'replaced';
  readonly ready: boolean;
  readonly reasons: readonly string[];
  /** Until it was ready or given up, ms. */
  readonly tookMs: number;
}

export interface BootReport {
  readonly pods: readonly BootedPod[];
  /** Asked to stop before all were ready; what runs was left running. */
  readonly stopped: boolean;
}

/** Podman removes a pod within the ten seconds that it gives each container to end. */
const REMOVE_WITHIN = MINUTE;
const PLAY_WITHIN = 2 * MINUTE;
const LOOK_EVERY = SECOND / 5;
/** A service that answers and has published may have troubles that no waiting ends: nothing is gated on a CA. */
const PATIENCE_WITH_TROUBLE = 5 * SECOND;

/**
 * Brings the pods up one after the other, each when the one before is ready. What runs already, was made from the
 * same file and images and mounts what is there is left alone: doing it again changes nothing, and goes on where it
 * failed before.
 * @throws PodserveError PODMAN_MISSING, PODMAN_FAILED, PORT_TAKEN, PORT_DENIED, ALREADY_RUNNING
 */
export async function bootPods(options: BootOptions): Promise<BootReport> {
  const { podman, files, paths, signal, say } = options;
  const pods = await listPods(podman, { signal });
  refuseForeign(files, pods, paths.state);
  const images = await provideImages(options);
  const booted: BootedPod[] = [];
  for (const file of files) {
    if (signal.aborted) return { pods: booted, stopped: true };
    const began = performance.now();
    const wanted = wantedOf(file, images, options.network);
    const before = pods.find(({ name }) => name === file.name);
    const change = before === undefined ? undefined : whyReplaced(before, wanted);
    const outcome = before === undefined ? 'started' : change === undefined ? 'unchanged' : 'replaced';
    if (outcome !== 'unchanged') {
      await assertPortsFree(podman, file, before);
      say(file.name, change === undefined ? 'starting' : `replacing it: ${change}`);
      await play(options, file, wanted, before !== undefined);
    }
    const readiness = await untilReady(options, file);
    if (readiness === undefined) return { pods: booted, stopped: true };
    const tookMs = performance.now() - began;
    const { ready, reasons } = readiness;
    booted.push({ name: file.name, outcome, ready, reasons, tookMs });
    say(file.name, ready ? readyWords(outcome, tookMs) : `ATTENTION: not ready: ${reasons.join('; ')}`);
  }
  return { pods: booted, stopped: false };
}

function readyWords(outcome: BootedPod['outcome'], tookMs: number): string {
  return outcome === 'unchanged' ? 'runs already, unchanged' : `ready after ${(tookMs / SECOND).toFixed(1)} s`;
}

/** Undefined for one that runs as it is wanted. */
function whyReplaced({ state, madeFrom, containers }: Pod, wanted: string): string | undefined {
  if (madeFrom === undefined) return 'it was not made by podserve up';
  if (madeFrom !== wanted) return 'its file, the settings or an image changed';
  if (state !== 'Running') return `it is ${state.toLowerCase()}`;
  const gone = containers.flatMap(({ pid }) => deletedMounts(pid));
  return gone.length === 0 ? undefined : `what it mounts at ${gone.join(', ')} was deleted on this host`;
}

/** Pod names are one for the whole host: nothing of anybody else is replaced. */
function refuseForeign(files: readonly DeployFile[], pods: readonly Pod[], dataDirectory: string): void {
  for (const { name, source } of files) {
    const pod = pods.find((one) => one.name === name);
    if (pod === undefined || (pod.ours && (pod.dataDirectory ?? dataDirectory) === dataDirectory)) continue;
    throw new PodserveError('ALREADY_RUNNING', `there is another pod of the name ${name}`, {
      where: source,
      why: pod.ours ? `it keeps its data in ${pod.dataDirectory}` : 'it is none of PodServe',
      remedy: pod.ours ? `podserve down --state ${pod.dataDirectory} ends it` : `podman pod rm -f ${name} removes it, if nobody needs it`,
    });
  }
}

/** @returns the ids of the images by name, all of them there */
async function provideImages(options: BootOptions): Promise<ReadonlyMap<string, string>> {
  const { podman, files, signal, say, build } = options;
  const names = [...new Set(files.flatMap(({ images }) => images))];
  const there = await imageIds(podman, names, signal);
  const missing = names.filter((name) => !there.has(name));
  if (missing.length === 0) return there;
  say('images', `building ${missing.join(', ')}`);
  const began = performance.now();
  await build(missing);
  say('images', `built in ${((performance.now() - began) / SECOND).toFixed(1)} s`);
  const now = await imageIds(podman, names, signal);
  const still = names.filter((name) => !now.has(name));
  if (still.length === 0) return now;
  throw new PodserveError('PODMAN_FAILED', 'images of the pods are missing', {
    where: still.join(', '),
    why: 'they are none of those that podserve images build makes',
    remedy: 'pull or build them, or correct the image in the file of the pod',
  });
}

async function imageIds(podman: Podman, names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const found = await Promise.all(
    names.map(async (name) => {
      const { code, stdout } = await podman.ask(['image', 'inspect', '--format', '{{.Id}}', name], { signal });
      return [name, code === 0 ? stdout.trim() : ''] as const;
    }),
  );
  return new Map(found.filter(([, id]) => id !== ''));
}

/** What a pod is made from, as one digest: its file with the settings, its images and its network. */
function wantedOf({ digest, images }: DeployFile, ids: ReadonlyMap<string, string>, network: string | undefined): string {
  const parts = [digest, images.map((name) => ids.get(name) ?? ''), network ?? null];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

/** Not ended by a signal: podman would leave a pod half-made. */
async function play(
  { podman, network }: BootOptions,
  { name, file, settings }: DeployFile,
  wanted: string,
  replaces: boolean,
): Promise<void> {
  if (replaces) await removePod(podman, name);
  else await clearName(podman, name);
  const args = [
    'kube',
    'play',
    '--annotation',
    `${MADE_FROM}=${wanted}`,
    ...(network === undefined ? [] : ['--network', network]),
    ...(settings === undefined ? [] : ['--configmap', settings]),
    file,
  ];
  try {
    await podman.run(`pod ${name} could not be started`, args, { timeoutMs: PLAY_WITHIN });
  } catch (error) {
    await clearName(podman, name);
    throw error;
  }
}

/**
 * Ends a pod and takes it away; what it keeps on the host stays. None of that name is as good. Ended first: the one call
 * for both (pod rm -f) takes up to five seconds longer on 4.3.
 */
export async function removePod(podman: Podman, name: string): Promise<void> {
  await podman.ask(['pod', 'stop', '--ignore', name], { timeoutMs: REMOVE_WITHIN });
  await clearName(podman, name);
}

async function clearName(podman: Podman, name: string): Promise<void> {
  await podman.run(`pod ${name} could not be removed`, ['pod', 'rm', '-f', '--ignore', name], { timeoutMs: REMOVE_WITHIN });
}

/** @returns undefined when asked to stop */
async function untilReady(options: BootOptions, file: DeployFile): Promise<Readiness | undefined> {
  const { podman, paths, clock, signal, timeoutMs } = options;
  const deadline = performance.now() + timeoutMs;
  const publishes = file.role === 'certificates';
  let troubledSince: number | undefined;
  for (;;) {
    if (signal.aborted) return undefined;
    const readiness = await lookAt(podman, file.name, signal);
    const published = !publishes || hasPublished(paths);
    if (readiness === undefined) return undefined;
    if (readiness.ready && published) return readiness;
    if (publishes && published && readiness.answers) {
      troubledSince ??= performance.now();
      if (performance.now() - troubledSince > PATIENCE_WITH_TROUBLE) return readiness;
    }
    if (performance.now() > deadline) return givenUp(options, file, readiness, published);
    await clock.sleep(LOOK_EVERY, signal);
  }
}

async function lookAt(podman: Podman, name: string, signal: AbortSignal): Promise<Readiness | undefined> {
  try {
    const pod = (await listPods(podman, { signal })).find((one) => one.name === name);
    const all = await Promise.all((pod?.containers ?? []).map(async (container) => askReady(podman, container, signal)));
    const reasons = all.flatMap((one) => one.reasons);
    if (all.length === 0) return { ready: false, reasons: ['its pod is gone'], answers: false };
    return { ready: all.every(({ ready }) => ready), reasons, answers: all.some(({ answers }) => answers) };
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

function hasPublished({ certificates }: StatePaths): boolean {
  return listNames(certificates).some((name) => currentLink(certificates, name) !== undefined);
}

/** The first pod that publishes nothing ends the boot: no other could become ready. The others are told about. */
async function givenUp(
  { podman, timeoutMs, paths }: BootOptions,
  { name }: DeployFile,
  readiness: Readiness,
  published: boolean,
): Promise<Readiness> {
  const pod = (await listPods(podman)).find((one) => one.name === name);
  const words = await Promise.all((pod?.containers ?? []).map(async (container) => lastWords(podman, container.name)));
  const said = words.filter((word) => word !== undefined).join('; ');
  const reasons = [...(published ? [] : [`nothing is published in ${paths.certificates}`]), ...readiness.reasons];
  const why = `${reasons.join('; ')}${said === '' ? '' : ` (its last words: ${said})`}`;
  if (published) return { ...readiness, reasons: [why] };
  throw new PodserveError('WAIT_TIMEOUT', `pod ${name} was not ready within ${timeoutMs / SECOND} s`, {
    why,
    remedy: `podserve logs ${name} shows more; it was left running, and podserve up --pods goes on from here`,
  });
}
