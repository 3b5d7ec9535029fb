import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { MINUTE, SECOND, type Clock } from '../../platform/clock.ts';
import { scrubbedEnvironment } from '../../platform/environment.ts';
import { PodserveError, messageOf, systemCode } from '../../platform/errors.ts';
import { callProgram, type Ending } from '../../platform/program.ts';
import { INPUTS_LABEL } from './image-names.ts';
import type { Podman } from './podman.ts';

/** What the runtime image stands on. */
export interface BaseImage {
  readonly name: string;
  readonly id: string;
  readonly how: 'given' | 'here already' | 'pulled' | 'made with mmdebstrap';
}

export interface BaseOptions {
  readonly podman: Podman;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Another image than Debian's own. */
  readonly wanted: string | undefined;
  /** Not the one that is here, but Debian as it is now. */
  readonly fresh: boolean;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

const DEBIAN = 'docker.io/library/debian:trixie-slim';
/** Debian as mmdebstrap made it here, kept for the next time. */
const MADE = 'localhost/podserve-debian:trixie';
/** A registry that has not told of the image by then is out of reach: on a machine without one every build would wait. */
const REGISTRY_MS = 8 * SECOND;
const PULL_MS = 15 * MINUTE;
const MAKE_MS = 15 * MINUTE;
/** What no container reads; the copyright files stay, as their licences ask. */
const LEFT_OUT = ['doc', 'man', 'info', 'locale', 'lintian', 'bug'].map((part) => `path-exclude=/usr/share/${part}/*`);
const KEPT = 'path-include=/usr/share/doc/*/copyright';

/**
 * Debian 13 from what is here, else from a registry, else made of Debian's packages.
 * @throws PodserveError IMAGE_FAILED when none of these works, PODMAN_MISSING, PODMAN_FAILED
 */
export async function baseImage(options: BaseOptions): Promise<BaseImage> {
  const { podman, wanted, fresh, say, signal } = options;
  if (wanted !== undefined) {
    if ((await idOf(podman, wanted, signal)) === undefined) await pull(podman, wanted, signal);
    return named(podman, wanted, 'given', signal);
  }
  if (!fresh) {
    for (const name of [DEBIAN, MADE])
      if ((await idOf(podman, name, signal)) !== undefined) return named(podman, name, 'here already', signal);
  }
  const unreachable = await registryTrouble(podman, signal);
  if (unreachable === undefined) {
    say(`pulling ${DEBIAN}`);
    await pull(podman, DEBIAN, signal);
    return named(podman, DEBIAN, 'pulled', signal);
  }
  say(`no registry has ${DEBIAN} for this host (${unreachable}): making Debian with mmdebstrap, as ${MADE}`);
  await make(options, unreachable);
  return named(podman, MADE, 'made with mmdebstrap', signal);
}

/** The id of an image, or undefined when it is not here. */
export async function idOf(podman: Podman, name: string, signal: AbortSignal): Promise<string | undefined> {
  const { code, stdout } = await podman.ask(['image', 'inspect', '--format', '{{.Id}}', name], { signal });
  return code === 0 ? stdout.trim() : undefined;
}

async function named(podman: Podman, name: string, how: BaseImage['how'], signal: AbortSignal): Promise<BaseImage> {
  const id = await podman.run(`the image ${name} cannot be looked at`, ['image', 'inspect', '--format', '{{.Id}}', name], { signal });
  return { name, id: id.trim(), how };
}

async function pull(podman: Podman, name: string, signal: AbortSignal): Promise<void> {
  await podman.run(`the image ${name} could not be pulled`, ['pull', '--quiet', name], { timeoutMs: PULL_MS, signal });
}

/** Why the image cannot be had from a registry, or undefined when it can. Only its description is fetched. */
async function registryTrouble(podman: Podman, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { code, stderr } = await podman.ask(['manifest', 'inspect', DEBIAN], { timeoutMs: REGISTRY_MS, signal });
    return code === 0 ? undefined : (stderr.trim().split(/: |\n/).at(-1) ?? '');
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PodserveError && error.code === 'PODMAN_MISSING') throw error;
    return `it did not answer within ${REGISTRY_MS / SECOND} s`;
  }
}

async function make(options: BaseOptions, unreachable: string): Promise<void> {
  const { podman, signal } = options;
  const directory = mkdtempSync(join(tmpdir(), 'podserve-debian-'));
  const archive = join(directory, 'debian.tar');
  try {
    const { ending, output } = await bootstrap(options, archive, unreachable);
    if (ending !== undefined) {
      signal.throwIfAborted();
      throw new PodserveError('IMAGE_FAILED', 'mmdebstrap could not make a base image', {
        why: ending,
        remedy: `see that Debian's packages can be reached and debian-archive-keyring is up to date, or give an image that is here: --base IMAGE`,
        problems: output.split('\n').slice(-8),
      });
    }
    const changes = [
      'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'CMD ["bash"]',
      `LABEL ${INPUTS_LABEL}=debian`,
    ];
    const args = ['import', '--quiet', ...changes.flatMap((change) => ['--change', change]), archive, MADE];
    await podman.run('the base image could not be imported', args, { timeoutMs: PULL_MS, signal });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function bootstrap({ env, clock, signal }: BaseOptions, archive: string, unreachable: string): Promise<Ending> {
  try {
    return await callProgram({
      exec: 'mmdebstrap',
      args: [
        '--variant=minbase',
        '--include=ca-certificates',
        ...[...LEFT_OUT, KEPT].map((line) => `--dpkgopt=${line}`),
        '--aptopt=Acquire::Languages "none"',
        'trixie',
        archive,
      ],
      env: scrubbedEnvironment(env),
      input: '',
      clock,
      timeoutMs: MAKE_MS,
      stop: signal,
      keep: 'end',
    });
  } catch (cause) {
    const missing = systemCode(cause) === 'ENOENT';
    throw new PodserveError('IMAGE_FAILED', 'there is no base image, and none can be made', {
      where: DEBIAN,
      why: `no registry has it for this host (${unreachable}), and mmdebstrap ${missing ? 'is not installed' : `does not start: ${messageOf(cause)}`}`,
      remedy: 'apt-get install mmdebstrap debian-archive-keyring, or give an image that is here: --base IMAGE',
      cause,
    });
  }
}
