import { PodserveError } from '../../platform/errors.ts';
import { assertPortFree } from '../../platform/ports.ts';
import { listAt, numberAt, textAt } from './answer.ts';
import type { DeployFile } from './files.ts';
import { parseList, type Podman } from './podman.ts';
import type { Pod } from './pods.ts';

/** The states of a pod whose ports are open: all of it runs, or a part. */
const HOLDING: ReadonlySet<string> = new Set(['Running', 'Degraded']);

/**
 * Podman says that a port is taken only after the pod that was there is gone, and not by whom.
 * @param before the pod that will be replaced: what it holds will be free
 * @throws PodserveError PORT_TAKEN naming the holder, PORT_DENIED
 */
export async function assertPortsFree(
  podman: Podman,
  { ports, source }: Pick<DeployFile, 'ports' | 'source'>,
  before: Pod | undefined,
): Promise<void> {
  for (const { hostIp, hostPort } of ports) {
    if (HOLDING.has(before?.state ?? '') && before?.ports.some((held) => held.hostPort === hostPort)) continue;
    try {
      await assertPortFree({ host: hostIp === '' ? '0.0.0.0' : hostIp, port: hostPort, setting: `hostPort in ${source}` });
    } catch (error) {
      const holder = error instanceof PodserveError && error.code === 'PORT_TAKEN' ? await publisherOf(podman, hostPort) : undefined;
      if (holder === undefined || !(error instanceof PodserveError)) throw error;
      throw new PodserveError('PORT_TAKEN', error.message, {
        ...(error.where === undefined ? {} : { where: error.where }),
        why: `${holder} of podman publishes it`,
        ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
        cause: error,
      });
    }
  }
}

/** The container or pod that publishes a port; undefined when it is none of podman's. */
async function publisherOf(podman: Podman, port: number): Promise<string | undefined> {
  const { stdout } = await podman.ask(['ps', '--pod', '--format', 'json']);
  const holders = parseList(stdout).filter((one) =>
    listAt(one, 'Ports').some((range) => {
      const first = numberAt(range, 'host_port') ?? 0;
      return port >= first && port < first + (numberAt(range, 'range') ?? 1);
    }),
  );
  const [holder] = holders;
  if (holder === undefined) return undefined;
  const pod = textAt(holder, 'PodName') ?? '';
  return pod === '' ? `container ${String(listAt(holder, 'Names')[0])}` : `pod ${pod}`;
}
