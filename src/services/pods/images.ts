import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SECOND, type Clock } from '../../platform/clock.ts';
import { checkoutDirectory } from '../../platform/checkout.ts';
import { PodserveError } from '../../platform/errors.ts';
import { baseImage, idOf, type BaseImage } from './base-image.ts';
import { digestOf, gatherInputs, type ImageInputs } from './image-inputs.ts';
import { IMAGES, INPUTS_LABEL, imageName, type ImageKind } from './image-names.ts';
import { inspectImages } from './image-sizes.ts';
import { explainPodman } from './remedies.ts';
import { parseList, type Podman } from './podman.ts';

export interface BuildOptions {
  readonly podman: Podman;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Another image than Debian's own to stand on. */
  readonly base?: string;
  /** Everything again, from Debian as it is now: for its security updates. */
  readonly fresh?: boolean;
  /** Of `IMAGES`, in their order and with what they stand on. Default: all. */
  readonly kinds?: readonly ImageKind[];
  /** Told what is done, in one line each. */
  readonly say: (line: string) => void;
  /** Told every line of podman, when given. */
  readonly hear?: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface BuildReport {
  readonly base: BaseImage;
  readonly version: string;
  readonly revision: string;
  /** Those that were made now; the others were here and made from the same. */
  readonly built: readonly ImageKind[];
}

/** How many of podman's last lines are shown when it fails. */
const LAST_LINES = 12;

/** Those of the images that every installation has which are not here. */
export async function missingImages(podman: Podman, signal: AbortSignal): Promise<ImageKind[]> {
  const here = await inspectImages(podman, signal);
  return IMAGES.filter((kind) => kind !== 'mail' && !here.has(kind));
}

/**
 * Makes the images of this checkout. Each carries the digest of all that it was made from, so that one that is here and
 * was made from the same is left as it is: podman's own cache reads, copies and digests everything to find that out.
 * @throws PodserveError IMAGE_FAILED, PODMAN_MISSING, PODMAN_FAILED
 */
export async function buildImages(options: BuildOptions): Promise<BuildReport> {
  const { podman, env, clock, say, signal } = options;
  const checkout = checkoutDirectory();
  if (checkout === undefined) {
    throw new PodserveError('IMAGE_FAILED', 'images are made from a checkout of the repository', {
      why: 'this is the bundled program',
      remedy: 'run bin/podserve images build in a checkout',
    });
  }
  const directory = mkdtempSync(join(tmpdir(), 'podserve-images-'));
  try {
    const inputs = await gatherInputs(checkout, directory, env, signal);
    const fresh = options.fresh === true;
    const base = await baseImage({ podman, env, clock, wanted: options.base, fresh, say, signal });
    const here = await standing(podman, signal);
    const built: ImageKind[] = [];
    const ids = new Map<string, string>([['base', base.id]]);
    for (const kind of options.kinds ?? IMAGES) {
      const below = [...ids.values()];
      const recipe: Recipe = { kind, context: join(checkout, 'images', kind), inputs, base, below };
      const digest = inputsDigest(recipe);
      const before = here.get(kind);
      if (!fresh && before?.inputs === digest) {
        ids.set(kind, before.id);
        continue;
      }
      const began = clock.now();
      say(`building ${imageName(kind)}${WHAT[kind] === undefined ? '' : `: ${WHAT[kind]}`}`);
      const id = await build(options, recipe, digest, directory);
      say(`  done in ${((clock.now() - began) / 1000).toFixed(1)} s`);
      ids.set(kind, id);
      built.push(kind);
    }
    // Earlier ones of ours that have lost their names and run nowhere.
    if (built.length > 0) await podman.ask(['image', 'prune', '--force', '--filter', `label=${INPUTS_LABEL}`], { signal });
    return { base, version: inputs.version, revision: inputs.revision, built };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const WHAT: Readonly<Partial<Record<ImageKind, string>>> = {
  runtime: "Debian's packages and Node",
  apache: "Apache from Debian's packages",
  mail: "Postfix, Dovecot and Rspamd from Debian's packages",
};

interface Recipe {
  readonly kind: ImageKind;
  /** The directory of its Containerfile. */
  readonly context: string;
  readonly inputs: ImageInputs;
  readonly base: BaseImage;
  /** Ids of the images that were made before it, which it may stand on. */
  readonly below: readonly string[];
}

/** What an image is made from, as one number: equal for equal images, but for the packages that Debian has that day. */
function inputsDigest({ kind, context, inputs, below }: Recipe): string {
  const files = readdirSync(context).toSorted();
  const own = files.map((file) => [file, readFileSync(join(context, file), 'base64')]);
  const made = kind === 'runtime' ? inputs.node.integrity : [inputs.version, inputs.revision, inputs.source, inputs.bundle.sha256];
  return createHash('sha256')
    .update(JSON.stringify([own, made, below]))
    .digest('hex')
    .slice(0, 32);
}

interface Standing {
  readonly id: string;
  readonly inputs: string;
}

/** The images that are here, with what they were made from. */
async function standing(podman: Podman, signal: AbortSignal): Promise<ReadonlyMap<ImageKind, Standing>> {
  const images = await inspectImages(podman, signal);
  return new Map([...images].map(([kind, { Id, Labels }]) => [kind, { id: Id, inputs: Labels?.[INPUTS_LABEL] ?? '' }]));
}

async function build(options: BuildOptions, recipe: Recipe, digest: string, directory: string): Promise<string> {
  const { podman, clock, signal, hear } = options;
  const { kind, inputs, base } = recipe;
  const context = join(directory, kind);
  cpSync(recipe.context, context, { recursive: true });
  if (kind === 'runtime') copyFileSync(inputs.node.file, join(context, 'node'));
  if (kind === 'base') copyFileSync(inputs.bundle.file, join(context, 'podserve.cjs'));
  const identity = { INPUTS: digest };
  const variables: Readonly<Record<string, string>> =
    kind === 'runtime'
      ? { ...identity, BASE_IMAGE: base.name, NODE_SHA256: await digestOf(inputs.node.file), NODE_VERSION: inputs.node.version }
      : kind === 'certificates'
        ? identity
        : { ...identity, VERSION: inputs.version, REVISION: inputs.revision, SOURCE: inputs.source };
  const lines: string[] = [];
  const began = clock.now();
  const code = await podman.follow(
    [
      'build',
      // The steps fetch Debian's packages as the host would, without a network of podman's.
      '--network=host',
      '--pull=never',
      // Of the runtime's stages nothing is to stay but the result; the others find their packages in the cache.
      `--layers=${kind !== 'runtime'}`,
      ...(options.fresh === true ? ['--no-cache'] : []),
      `--timestamp=${options.env['SOURCE_DATE_EPOCH'] ?? inputs.committedAt}`,
      ...Object.entries(variables).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
      '--tag',
      imageName(kind),
      context,
    ],
    (line) => {
      hear?.(line);
      lines.push(line);
      if (lines.length > LAST_LINES) lines.shift();
    },
    signal,
  );
  if (signal.aborted) {
    await removeWorkingContainers(podman, began);
    throw signal.reason;
  }
  const id = code === 0 ? await idOf(podman, imageName(kind), signal) : undefined;
  if (id !== undefined) return id;
  throw new PodserveError('IMAGE_FAILED', `${imageName(kind)} could not be built`, {
    ...explainPodman(lines.join('\n')),
    problems: lines,
  });
}

/** What podman leaves behind when it is ended in the middle of a build: no container that runs, but its files. */
async function removeWorkingContainers(podman: Podman, since: number): Promise<void> {
  const { stdout } = await podman.ask(['ps', '--all', '--external', '--format', 'json']);
  const left = (parseList(stdout) as External[]).filter(
    ({ Created, Names }) => Created * SECOND >= since - SECOND && Names?.some((name) => /-working-container(?:-\d+)?$/.test(name)) === true,
  );
  if (left.length > 0) await podman.ask(['rm', '--force', ...left.map(({ Id }) => Id)]);
}

interface External {
  readonly Id: string;
  readonly Names: readonly string[] | null;
  /** Seconds since 1970. */
  readonly Created: number;
}
