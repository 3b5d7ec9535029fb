import { PodserveError } from '../../platform/errors.ts';
import { openPodman, type Podman, type PodmanOptions } from './podman.ts';
import { listPods, podsOf, type Pod } from './pods.ts';

/** The pods that a command about a state directory has to do with. */
export interface Present {
  readonly podman: Podman;
  /** Those that keep their data there. */
  readonly here: readonly Pod[];
  /** Other data directories of pods of ours: where the reader may have meant to look. */
  readonly elsewhere: readonly string[];
}

/**
 * Looks for pods where there may be none: without podman there are none.
 * @throws PodserveError PODMAN_FAILED
 */
export async function presentPods(options: PodmanOptions, dataDirectory: string, signal?: AbortSignal): Promise<Present> {
  const podman = openPodman(options);
  const pods = await listed(podman, signal);
  const directories = pods.flatMap((pod) => (pod.ours ? (pod.dataDirectory ?? []) : []));
  return {
    podman,
    here: podsOf(pods, dataDirectory),
    elsewhere: [...new Set(directories)].filter((directory) => directory !== dataDirectory),
  };
}

async function listed(podman: Podman, signal: AbortSignal | undefined): Promise<readonly Pod[]> {
  try {
    return await listPods(podman, signal === undefined ? {} : { signal });
  } catch (error) {
    if (error instanceof PodserveError && error.code === 'PODMAN_MISSING') return [];
    throw error;
  }
}
