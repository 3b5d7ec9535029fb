import type { Arguments, Command, Context } from './command.ts';
import { flag, text } from './command.ts';

export const command: Command = {
  summary: 'build the container images, or say how large they are',
  help: `usage: podserve images build [options]
       podserve images list [options]

build    makes localhost/podserve-harmony-runtime, -base, -certificates and -apache with podman, from
         Debian's packages and what package-lock.json names, in a checkout of the repository. What
         is here and made from the same is left as it is. Without a Debian 13 image here and without
         a registry in reach the base is made with mmdebstrap and kept as localhost/podserve-debian:trixie
list     says which are here, with version and size, and what each layer takes

  --base IMAGE   stand on this image of Debian 13, default docker.io/library/debian:trixie-slim
  --fresh        build everything again, from Debian as it is now: for its security updates
  --verbose      show everything that podman says
  --json         say it as JSON

examples:
  podserve images build
  podserve images build --fresh && podserve up --pods`,
  options: { base: { type: 'string' }, fresh: { type: 'boolean' }, verbose: { type: 'boolean' } },
  positionals: true,
  run,
};

async function run(args: Arguments, context: Context): Promise<number> {
  const { PodserveError } = await import('../platform/errors.ts');
  const { openPodman } = await import('../services/pods/podman.ts');
  const { env, clock } = context;
  const podman = openPodman({ env, clock });
  const [word, ...more] = args.positionals;
  const rest = more.length > 0;
  if (word === 'list' && !rest && text(args, 'base') === undefined && !flag(args, 'fresh') && !flag(args, 'verbose')) {
    return list(podman, args, context);
  }
  if (word === 'build' && !rest) return build(podman, args, context);
  throw new PodserveError('USAGE', 'podserve images was not understood', {
    why: 'it takes build, with --base, --fresh and --verbose, or list',
    remedy: 'podserve images --help shows its options',
  });
}

type Podman = import('../services/pods/podman.ts').Podman;
type ImageReport = import('../services/pods/image-sizes.ts').ImageReport;

async function build(podman: Podman, args: Arguments, context: Context): Promise<number> {
  const { buildImages } = await import('../services/pods/images.ts');
  const { imageReports, sizeTogether } = await import('../services/pods/image-sizes.ts');
  const { env, clock, signal } = context;
  const began = clock.now();
  const base = text(args, 'base');
  const made = await buildImages({
    podman,
    env,
    clock,
    ...(base === undefined ? {} : { base }),
    fresh: flag(args, 'fresh'),
    say: (line) => context.err(line),
    ...(flag(args, 'verbose') ? { hear: (line: string) => context.err(line) } : {}),
    signal,
  });
  const images = await imageReports(podman, signal);
  const ms = clock.now() - began;
  if (flag(args, 'json')) {
    context.out(JSON.stringify({ ...made, ms, together: sizeTogether(images), images }));
    return 0;
  }
  for (const image of images) {
    context.out(
      `${image.name.padEnd(widthOf(images))}  ${megabytes(image.size)}  ${made.built.includes(image.kind) ? 'built' : 'as it was'}`,
    );
  }
  context.out(
    `PodServe ${made.version}, revision ${made.revision.slice(0, 12)}${made.revision.endsWith('-modified') ? ' and later changes' : ''}, on ${made.base.name} (${made.base.how})`,
  );
  context.out(`${megabytes(sizeTogether(images)).trim()} together, in ${(ms / 1000).toFixed(1)} s. Next: podserve up --pods`);
  return 0;
}

async function list(podman: Podman, args: Arguments, context: Context): Promise<number> {
  const { imageReports, sizeTogether } = await import('../services/pods/image-sizes.ts');
  const images = await imageReports(podman, context.signal);
  if (flag(args, 'json')) {
    context.out(JSON.stringify({ together: sizeTogether(images), images }));
    return 0;
  }
  if (images.length === 0) {
    context.out('no image of PodServe is here; podserve images build makes them');
    return 0;
  }
  const seen = new Set<string>();
  for (const { name, version, revision, size, layers } of images) {
    context.out(
      `${name.padEnd(widthOf(images))}  ${megabytes(size)}  ${version === null ? '' : `${version}, revision ${(revision ?? '').slice(0, 12)}`}`.trimEnd(),
    );
    for (const layer of layers.filter(({ digest }) => !seen.has(digest))) {
      seen.add(layer.digest);
      context.out(`  ${megabytes(layer.size)}  ${layer.madeBy.slice(0, 90)}`);
    }
  }
  context.out(`${megabytes(sizeTogether(images)).trim()} together: each layer is kept once`);
  return 0;
}

function widthOf(images: readonly ImageReport[]): number {
  return Math.max(...images.map(({ name }) => name.length));
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1).padStart(6)} MB`;
}
