import { basename, dirname } from 'node:path';

import { entriesAt, listAt, numberAt, at, textAt } from './answer.ts';
import { parseList, type CallOptions, type Podman } from './podman.ts';

/** A pod that podman knows, running or not. */
export interface Pod {
  readonly name: string;
  /** Whether its label says that it is PodServe's. */
  readonly ours: boolean;
  /** As podman says it: `Running`, `Degraded`, `Exited`, `Created` … */
  readonly state: string;
  /** The host's directory that it keeps its data in, of those of ours that mount one. */
  readonly dataDirectory: string | undefined;
  /** What it was made from, when `podserve up --pods` made it (boot.ts). */
  readonly madeFrom: string | undefined;
  readonly containers: readonly PodContainer[];
  readonly ports: readonly PublishedPort[];
}

export interface PodContainer {
  /** As podman calls it: `web-apache`. */
  readonly name: string;
  /** As its file calls it: `apache`. */
  readonly service: string;
  readonly image: string;
  readonly imageId: string;
  /** `running`, `exited`, `created` … */
  readonly state: string;
  readonly exitCode: number;
  /** Of its process 1, on the host; 0 while it does not run. */
  readonly pid: number;
  readonly restarts: number;
  /** Of its liveness probe: `healthy`, `unhealthy`, `starting`; undefined without one. */
  readonly health: string | undefined;
  /** RFC 3339. */
  readonly startedAt: string | undefined;
  /** Whether there is a status port that can be asked. */
  readonly tells: boolean;
}

/** A TCP port of the host that leads into a pod. */
export interface PublishedPort {
  /** Empty for all addresses. */
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

const PART_OF = 'app.kubernetes.io/part-of';
const OURS = 'podserve';

/** The annotation in which `up --pods` keeps what it made a pod from. */
export const MADE_FROM = 'io.podserve.made-from';

/**
 * All pods of this user, those of others by their names alone.
 * @throws PodserveError PODMAN_MISSING, PODMAN_FAILED
 */
export async function listPods(podman: Podman, options: CallOptions = {}): Promise<Pod[]> {
  const pods = parseList(await podman.run('the pods could not be listed', ['pod', 'ps', '--format', 'json'], options));
  const ids = pods.filter(isOurs).flatMap((pod) => listAt(pod, 'Containers').flatMap((one) => textAt(one, 'Id') ?? []));
  // What was removed between the two calls makes podman fail, and print the others.
  const inspected = ids.length === 0 ? [] : parseList((await podman.ask(['container', 'inspect', ...ids], options)).stdout);
  return pods.flatMap((pod) => {
    const name = textAt(pod, 'Name');
    if (name === undefined) return [];
    return [
      describe(
        pod,
        name,
        inspected.filter((container) => textAt(container, 'Pod') === textAt(pod, 'Id')),
      ),
    ];
  });
}

/** The pods of ours that keep their data in this directory. */
export function podsOf(pods: readonly Pod[], dataDirectory: string): Pod[] {
  return pods.filter((pod) => pod.ours && pod.dataDirectory === dataDirectory);
}

function describe(pod: unknown, name: string, inspected: readonly unknown[]): Pod {
  const own = inspected.filter((container) => at(container, 'IsInfra') !== true);
  return {
    name,
    ours: isOurs(pod),
    state: textAt(pod, 'Status') ?? 'Unknown',
    dataDirectory: own.map(dataDirectoryOf).find((directory) => directory !== undefined),
    madeFrom: own.map((container) => textAt(container, 'Config', 'Annotations', MADE_FROM)).find((found) => found !== undefined),
    containers: own.map((container) => describeContainer(container, name)),
    ports: inspected.filter((container) => at(container, 'IsInfra') === true).flatMap(portsOf),
  };
}

function describeContainer(container: unknown, pod: string): PodContainer {
  const name = textAt(container, 'Name') ?? '';
  const health = textAt(container, 'State', 'Health', 'Status') ?? textAt(container, 'State', 'Healthcheck', 'Status');
  return {
    name,
    service: name.startsWith(`${pod}-`) ? name.slice(pod.length + 1) : name,
    image: textAt(container, 'ImageName') ?? '',
    imageId: textAt(container, 'Image') ?? '',
    state: textAt(container, 'State', 'Status') ?? 'unknown',
    exitCode: numberAt(container, 'State', 'ExitCode') ?? 0,
    pid: numberAt(container, 'State', 'Pid') ?? 0,
    restarts: numberAt(container, 'RestartCount') ?? 0,
    health: health === '' ? undefined : health,
    startedAt: textAt(container, 'State', 'StartedAt'),
    tells: listAt(container, 'Config', 'Env').some((one) => typeof one === 'string' && /^PODSERVE_STATUS_PORT=\d/.test(one)),
  };
}

function isOurs(pod: unknown): boolean {
  return textAt(pod, 'Labels', PART_OF) === OURS;
}

/** `DIR` of a mounted `DIR/certificates`: every pod of ours mounts that. */
function dataDirectoryOf(container: unknown): string | undefined {
  const sources = listAt(container, 'Mounts').flatMap((mount) => (textAt(mount, 'Type') === 'bind' ? (textAt(mount, 'Source') ?? []) : []));
  const publication = sources.find((source) => basename(source) === 'certificates');
  return publication === undefined ? undefined : dirname(publication);
}

function portsOf(infra: unknown): PublishedPort[] {
  return entriesAt(infra, 'HostConfig', 'PortBindings').flatMap(([key, bindings]) => {
    const [containerPort, protocol] = key.split('/');
    if (protocol !== 'tcp' || !Array.isArray(bindings)) return [];
    return bindings.map((binding: unknown) => ({
      hostIp: textAt(binding, 'HostIp') ?? '',
      hostPort: Number(textAt(binding, 'HostPort') ?? 0),
      containerPort: Number(containerPort),
    }));
  });
}
