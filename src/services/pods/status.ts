import type { StatusAnswer } from '../ask-status.ts';
import { SECOND } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import type { ServiceStatus } from '../certificates/status.ts';
import type { EndpointStatus } from '../endpoint-status.ts';
import { listAt, textAt } from './answer.ts';
import { parseList, type Podman } from './podman.ts';
import type { Pod, PodContainer } from './pods.ts';
import { askReady } from './ready.ts';

export interface PodStanding {
  readonly name: string;
  readonly state: string;
  readonly ports: Pod['ports'];
  readonly containers: readonly (PodContainer & { readonly ready: boolean; readonly reasons: readonly string[] })[];
}

/** Asks the service of each container whether it does its job; the oldest pod first. */
export async function askPods(podman: Podman, pods: readonly Pod[], signal: AbortSignal): Promise<PodStanding[]> {
  return Promise.all(
    pods.toReversed().map(async ({ name, state, ports, containers }) => ({
      name,
      state,
      ports,
      containers: await Promise.all(
        containers.map(async (container) => {
          const { ready, reasons } = await askReady(podman, container, signal);
          return { ...container, ready, reasons };
        }),
      ),
    })),
  );
}

/** What the services with a status port answer, by their names. */
export function servicesOf(pods: readonly PodStanding[]): Record<string, Extract<StatusAnswer, { answers: true }>> {
  const telling = pods.flatMap(({ containers }) => containers.filter(({ tells, state }) => tells && state === 'running'));
  return Object.fromEntries(
    telling.map(({ service, ready, reasons }) => [service, { answers: true, ready, reasons, publication: undefined }]),
  );
}

/** How the certificate service stands, as `podserve status` says it inside its container. */
export interface InsideStatus {
  readonly status: ServiceStatus;
  readonly endpoints: readonly EndpointStatus[];
  readonly troubles: readonly string[];
}

/** It asks endpoints, which takes as long as the slowest. */
const ANSWER_WITHIN = 15 * SECOND;

/**
 * Asked inside because there the configuration's paths and names are what they mean: endpoints are pods' names.
 * Undefined where no certificate service runs.
 */
export async function askInside(
  podman: Podman,
  pods: readonly PodStanding[],
  publication: string,
  signal: AbortSignal,
): Promise<InsideStatus | 'silent' | undefined> {
  const container = pods
    .flatMap(({ containers }) => containers)
    .find(({ service, state }) => service === 'certificates' && state === 'running');
  if (container === undefined) return undefined;
  const answer = await statusInside(podman, container.name, signal);
  if (textAt(answer, 'at') === undefined || typeof answer !== 'object' || answer === null) return 'silent';
  const status = { ...answer, publication } as ServiceStatus;
  return {
    status,
    endpoints: listAt(answer, 'endpoints') as readonly EndpointStatus[],
    troubles: listAt(answer, 'troubles').map(String),
  };
}

async function statusInside(podman: Podman, container: string, signal: AbortSignal): Promise<unknown> {
  try {
    const { stdout } = await podman.ask(['exec', container, 'podserve', 'status', '--json'], { timeoutMs: ANSWER_WITHIN, signal });
    return parseList(stdout)[0];
  } catch (error) {
    if (error instanceof PodserveError && error.code === 'PODMAN_FAILED') return undefined;
    throw error;
  }
}
