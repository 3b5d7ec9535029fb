import type { Clock } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import { good, troubled, warning, type Finding, type Judgement } from '../doctor/finding.ts';
import { podHost, type PodHost } from './host.ts';
import { IMAGES, imageName } from './image-names.ts';
import { judgePodHost, lowPorts } from './judge-host.ts';
import { openPodman, parseList, type Podman } from './podman.ts';
import { listPods, podsOf, type Pod } from './pods.ts';
import { assertPortsFree } from './ports.ts';

export interface PodsDoctorOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly dataDirectory: string;
  /** Whether pods are wanted here. Where they are not, and none is there, nothing about them is worse than a warning. */
  readonly wanted: boolean;
  /** For tests; looked at otherwise. */
  readonly host?: PodHost;
}

/** What deploy/web.yaml publishes. */
const PORTS = [80, 443];
const SUBJECT = 'pods';

/** Looks at what `up --pods` needs of podman and of this host. Starts no container, and changes nothing. */
export async function examinePods({
  env,
  clock,
  signal,
  dataDirectory,
  wanted,
  host = podHost(env),
}: PodsDoctorOptions): Promise<Finding[]> {
  const podman = openPodman({ env, clock });
  try {
    const [info] = parseList(await podman.run('podman tells nothing about itself', ['info', '--format', 'json'], { signal }));
    const pods = await listPods(podman, { signal });
    const matters = wanted || podsOf(pods, dataDirectory).length > 0;
    const judged = [
      ...judgePodHost(info, host, env).map((one) => finding('podman', one)),
      finding('images', await judgeImages(podman, signal)),
      finding('ports', lowPorts(info, PORTS, host) ?? (await judgePorts(podman, pods, dataDirectory))),
    ];
    return matters ? judged : judged.map(mild);
  } catch (error) {
    if (!(error instanceof PodserveError)) throw error;
    const failed = finding('podman', troubled(error));
    return [wanted ? failed : mild(failed)];
  }
}

async function judgeImages(podman: Podman, signal: AbortSignal): Promise<Judgement> {
  const missing: string[] = [];
  // That of mail is made when it is first asked for.
  for (const kind of IMAGES.filter((one) => one !== 'mail')) {
    const { code } = await podman.ask(['image', 'exists', imageName(kind)], { signal });
    if (code !== 0) missing.push(kind);
  }
  if (missing.length === 0) return good('the images are there');
  return warning(
    `there is no image of ${missing.join(', ')}`,
    'nothing: podserve up --pods makes them, and podserve images build does so beforehand',
  );
}

async function judgePorts(podman: Podman, pods: readonly Pod[], dataDirectory: string): Promise<Judgement> {
  const own = podsOf(pods, dataDirectory).find(({ ports }) => ports.some(({ containerPort }) => PORTS.includes(containerPort)));
  if (own !== undefined) return good(`pod ${own.name} publishes ${own.ports.map(({ hostPort }) => hostPort).join(' and ')}`);
  const file = { source: 'deploy/web.yaml', ports: PORTS.map((hostPort) => ({ hostIp: '', hostPort })) };
  try {
    await assertPortsFree(podman, file, undefined);
    return good(`ports ${PORTS.join(' and ')} are free`);
  } catch (error) {
    if (!(error instanceof PodserveError)) throw error;
    return troubled(error);
  }
}

function finding(check: Finding['check'], judgement: Judgement): Finding {
  return { subject: SUBJECT, check, ...judgement };
}

function mild(one: Finding): Finding {
  return one.ok === 'problem' ? { ...one, ok: 'warning' } : one;
}
