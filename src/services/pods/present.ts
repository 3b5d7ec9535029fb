import type { StatePaths } from '../../config/state.ts';
import { SECOND } from '../../platform/clock.ts';
import { PodserveError, errorLines } from '../../platform/errors.ts';
import { findInstance } from '../instance.ts';
import { openPodman, type Podman, type PodmanOptions } from './podman.ts';
import { listPods, podsOf, type Pod } from './pods.ts';

/** The pods that a command about a state directory has to do with. */
export interface Present {
  readonly podman: Podman;
  /** Those that keep their data there. */
  readonly here: readonly Pod[];
  /** Other data directories of pods of ours: where the reader may have meant to look. */
  readonly elsewhere: readonly string[];
  /** Why podman could not be asked; undefined when it was, or is not installed. */
  readonly trouble: string | undefined;
}

const ANSWER_WITHIN = 15 * SECOND;

/**
 * Looks for pods where there may be none. What runs without pods must not depend on podman: where a process holds the
 * directory podman is not even asked, and one that fails is no error.
 * @throws PodserveError STATE_UNREADABLE; the signal's reason
 */
export async function presentPods(options: PodmanOptions, paths: StatePaths, signal?: AbortSignal): Promise<Present> {
  const podman = openPodman(options);
  if (findInstance(paths).state === 'running') return { podman, here: [], elsewhere: [], trouble: undefined };
  try {
    const pods = await listPods(podman, { timeoutMs: ANSWER_WITHIN, ...(signal === undefined ? {} : { signal }) });
    const directories = pods.flatMap((pod) => (pod.ours ? (pod.dataDirectory ?? []) : []));
    return {
      podman,
      here: podsOf(pods, paths.state),
      elsewhere: [...new Set(directories)].filter((directory) => directory !== paths.state),
      trouble: undefined,
    };
  } catch (error) {
    if (!(error instanceof PodserveError)) throw error;
    return { podman, here: [], elsewhere: [], trouble: error.code === 'PODMAN_MISSING' ? undefined : errorLines(error).join(' ') };
  }
}
