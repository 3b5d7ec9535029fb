import { good, problem, warning, type Judgement } from '../doctor/finding.ts';
import { at, listAt, textAt } from './answer.ts';
import { defaultUlimits } from './remedies.ts';
import type { PodHost } from './host.ts';

/** The first podman whose `kube play` does what the files of deploy/ need. */
const OLDEST = [4, 3] as const;
/** What a container of root gets when nothing else is said. */
const PODMANS_FILES = 1_048_576;

/** Pure: what podman told about itself (`podman info`), and the host. The first is podman's version. */
export function judgePodHost(info: unknown, host: PodHost, env: Readonly<Record<string, string | undefined>>): Judgement[] {
  const rootless = at(info, 'host', 'security', 'rootless') === true;
  return [
    judgeVersion(textAt(info, 'version', 'Version') ?? '', rootless),
    judgeRuntime(textAt(info, 'host', 'ociRuntime', 'name') ?? '', host),
    judgeLimits(rootless, host),
    judgeUsers(info, rootless, host, env),
    ...judgePrograms(textAt(info, 'host', 'networkBackend') ?? '', rootless, host),
    ...(at(info, 'host', 'security', 'selinuxEnabled') === true
      ? [
          warning(
            'SELinux is on: pods may only read directories that it allows them',
            'chcon -Rt container_file_t DIR for the data directory',
          ),
        ]
      : []),
  ];
}

function judgeVersion(version: string, rootless: boolean): Judgement {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const whose = rootless ? 'as this user' : 'as root';
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return good(`podman ${version}, ${whose}`);
  return problem(`podman ${version === '' ? 'tells no version' : version}: the pods need ${OLDEST.join('.')}`, 'install a newer podman');
}

function judgeRuntime(runtime: string, { hybridCgroups }: PodHost): Judgement {
  if (runtime !== 'crun' || !hybridCgroups) return good(`containers are run by ${runtime}`);
  return problem(
    'this kernel mounts cgroups in hybrid mode, which crun refuses',
    'install runc and write runtime = "runc" below [engine] in /etc/containers/containers.conf, or start the kernel with systemd.unified_cgroup_hierarchy=1',
  );
}

function judgeLimits(rootless: boolean, { openFiles, mayRaiseLimits, containersConf }: PodHost): Judgement {
  const isSet = /^\s*default_ulimits\s*=/m.test(containersConf);
  if (rootless || mayRaiseLimits || isSet || openFiles >= PODMANS_FILES) return good('the limits that containers get are allowed');
  return problem(
    `containers would get ${PODMANS_FILES} open files, and this host allows ${openFiles}`,
    `write ${defaultUlimits()} below [containers] in /etc/containers/containers.conf`,
  );
}

/** What would give each pod users of its own, by podman's configuration or the environment. */
export function ownUsers(
  { containersConf }: Pick<PodHost, 'containersConf'>,
  env: Readonly<Record<string, string | undefined>>,
): Judgement | undefined {
  const given = env['PODMAN_USERNS'];
  const [setting, remedy] =
    given === undefined || given === ''
      ? [/^\s*userns\s*=\s*"([^"]*)/m.exec(containersConf)?.[1] ?? '', 'take userns out of containers.conf']
      : [given, 'unset PODMAN_USERNS'];
  if (!/^(?:auto|keep-id|nomap)/.test(setting)) return undefined;
  return problem(`--userns=${setting} gives each pod users of its own: none could read what another wrote to the data directory`, remedy);
}

function judgeUsers(info: unknown, rootless: boolean, host: PodHost, env: Readonly<Record<string, string | undefined>>): Judgement {
  const own = ownUsers(host, env);
  if (own !== undefined) return own;
  if (!rootless) return good('all pods share one set of users');
  const mapped = listAt(info, 'host', 'idMappings', 'uidmap').length;
  if (mapped > 1) return good('this user has subordinate ids for containers');
  return problem(
    'this user has no subordinate ids for containers',
    'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER as root, then podman system migrate',
  );
}

function judgePrograms(backend: string, rootless: boolean, host: PodHost): Judgement[] {
  const needed: readonly (readonly [program: string, packageName: string])[] = [
    ['catatonit', 'catatonit'],
    ['conmon', 'conmon'],
    ['iptables', 'iptables'],
    ...(backend === 'netavark'
      ? ([
          ['netavark', 'netavark'],
          ['aardvark-dns', 'aardvark-dns'],
        ] as const)
      : []),
    ...(rootless
      ? ([
          ['newuidmap', 'uidmap'],
          ['slirp4netns', 'slirp4netns'],
        ] as const)
      : []),
  ];
  const missing = needed.filter(([program]) => !host.has(program));
  const names = backend === 'cni' && !host.has('dnsname');
  return [
    missing.length === 0
      ? good('the programs are there that podman calls')
      : problem(
          `${missing.map(([program]) => program).join(' and ')} cannot be found, which podman calls`,
          `apt-get install ${missing.map(([, name]) => name).join(' ')}`,
        ),
    ...(names
      ? [
          warning(
            'the network of pods is made by CNI without names: pods cannot find each other, and renewals are not seen served',
            'apt-get install netavark aardvark-dns and write network_backend = "netavark" below [network] in /etc/containers/containers.conf, before the first pod',
          ),
        ]
      : []),
  ];
}

/** Whether an ordinary user may open the ports; who holds them is another question. */
export function lowPorts(info: unknown, ports: readonly number[], { unprivilegedPortStart }: PodHost): Judgement | undefined {
  const denied = ports.filter((port) => port < unprivilegedPortStart);
  if (at(info, 'host', 'security', 'rootless') !== true || denied.length === 0) return undefined;
  return problem(
    `ports ${denied.join(' and ')} belong to root`,
    `as root: sysctl net.ipv4.ip_unprivileged_port_start=${Math.min(...denied)}; or podserve up --pods --deploy DIR with other ports`,
  );
}
