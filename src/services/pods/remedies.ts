import { hardLimits } from './host.ts';

/** What podman says about a host that lacks something, and what helps. First match wins: causes before effects. */
const KNOWN: readonly { readonly says: RegExp; readonly why: string; readonly remedy: string | (() => string) }[] = [
  {
    says: /cgroups in hybrid mode not supported|hybrid mode/i,
    why: 'this kernel mounts cgroups in hybrid mode, which crun refuses',
    remedy:
      'install runc and write runtime = "runc" below [engine] in /etc/containers/containers.conf, or start the kernel with systemd.unified_cgroup_hierarchy=1',
  },
  {
    says: /set(?:ting )?rlimits?\b|setrlimit|RLIMIT_/i,
    why: 'this host allows fewer open files or processes than podman gives its containers',
    remedy: () => `write ${defaultUlimits()} below [containers] in /etc/containers/containers.conf`,
  },
  {
    says: /cannot set (?:memory|cpu|pids) limit|could not join or create cgroup/i,
    why: 'this user has no cgroup of its own to set limits in: cgroups are of version 1, or there is no login session',
    remedy: 'take the limits out of a copy of deploy/ and give that as --deploy DIR, or start podserve as root',
  },
  {
    says: /catatonit/i,
    why: 'the package catatonit is missing, of which podman makes what holds a pod together',
    remedy: 'apt-get install catatonit',
  },
  {
    says: /OCI runtime \S+ not found|(?:crun|runc)"?: (?:executable file not found|no such file)/i,
    why: 'the container runtime is missing',
    remedy: 'apt-get install runc (or crun), and see runtime below [engine] in /etc/containers/containers.conf',
  },
  {
    says: /could not find a working conmon|conmon.{0,40}(?:not found|no such file)/i,
    why: 'conmon is missing',
    remedy: 'apt-get install conmon',
  },
  { says: /newuidmap|newgidmap/, why: 'newuidmap is missing or may not be used', remedy: 'apt-get install uidmap' },
  {
    says: /no subuid ranges|no subgid ranges|cannot find (?:UID|GID|mappings)|insufficient UIDs or GIDs|potentially insufficient/i,
    why: 'this user has no subordinate ids for containers',
    remedy: 'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER as root, then podman system migrate',
  },
  {
    says: /rootless netns|XDG_RUNTIME_DIR|\/run\/user\/\d+.{0,40}(?:no such file|permission denied)/i,
    why: 'this user has no login session, without which podman makes no rootless network',
    remedy: 'loginctl enable-linger USER as root and log in again, or start podserve as root',
  },
  { says: /\/dev\/net\/tun/, why: '/dev/net/tun is missing or closed to this user', remedy: 'modprobe tun; chmod 0666 /dev/net/tun' },
  {
    says: /slirp4netns.{0,60}(?:not found|no such file)|could not find slirp4netns/i,
    why: 'slirp4netns is missing',
    remedy: 'apt-get install slirp4netns',
  },
  {
    says: /(?:netavark|aardvark-dns)"?.{0,60}(?:not found|no such file|in one of)|could not find "?(?:netavark|aardvark)/i,
    why: "podman's network programs are missing",
    remedy: 'apt-get install netavark aardvark-dns iptables',
  },
  {
    says: /iptables.{0,80}(?:not found|no such file|does not exist|permission denied)/i,
    why: 'iptables cannot be used, which publishes the ports of pods',
    remedy: 'apt-get install iptables, and load its modules: modprobe ip_tables nf_nat',
  },
  { says: /fuse-overlayfs.{0,60}(?:not found|no such file)/i, why: 'fuse-overlayfs is missing', remedy: 'apt-get install fuse-overlayfs' },
  {
    says: /cannot expose privileged port|privileged port/i,
    why: 'ports below 1024 belong to root',
    remedy: 'as root: sysctl net.ipv4.ip_unprivileged_port_start=80; or start podserve as root, or use higher ports (--deploy DIR)',
  },
  {
    says: /address already in use/i,
    why: 'a port that it publishes is taken',
    remedy: 'stop what listens there, or choose another hostPort (--deploy DIR)',
  },
  {
    says: /no space left on device|disk quota exceeded/i,
    why: 'the disk is full',
    remedy: 'free some space; podman system df shows what podman uses',
  },
  { says: /image not known|pinging container registry localhost/i, why: 'an image is missing', remedy: 'podserve images build makes it' },
  {
    says: /configmap \S+ not found/i,
    why: 'the settings are missing',
    remedy: 'put settings.yaml beside the files of the pods',
  },
  {
    says: /containers\/storage\.conf.{0,20}permission denied/,
    why: 'this user may not do that',
    remedy: 'run it as the user that the pods belong to; as root pods are others than as a user',
  },
  {
    says: /userns.{0,40}auto|cannot set hostPath|keep-id/i,
    why: 'each pod would get users of its own, and none could read what another wrote',
    remedy: 'leave userns in containers.conf at its default',
  },
  { says: /SELinux|relabel/i, why: 'SELinux refuses the directory', remedy: 'chcon -Rt container_file_t DIR for the data directory' },
];

/** For the `why` and `remedy` of an error, from what podman wrote to its standard error. */
export function explainPodman(stderr: string): { readonly why: string; readonly remedy: string } {
  const said = essence(stderr);
  const known = KNOWN.find(({ says }) => says.test(stderr));
  if (known === undefined) return { why: said, remedy: 'podserve doctor --pods looks at what podman needs of this host' };
  const { why, remedy } = known;
  return { why: `${why} (podman says: ${said})`, remedy: typeof remedy === 'string' ? remedy : remedy() };
}

/** The longest of podman's lines that one reads. */
const LONGEST = 300;

/** The line that says why: not that there is no syslog, not its warnings, not the effects of a first failure. */
function essence(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter(
      (line) =>
        line !== '' && !/^failed to connect to syslog|level=(?:warning|info|debug)|^Trying to pull|^Error: failed to start \d+/.test(line),
    );
  const causes = lines.filter((line) => !/a dependency of container \S+ failed to start/.test(line));
  const last = (causes.length === 0 ? lines : causes).at(-1) ?? 'it gave no reason';
  const short = last.replace(/^Error: /, '').replaceAll(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, '$1');
  return short.length > LONGEST ? `${short.slice(0, LONGEST)}…` : short;
}

/** `default_ulimits = ["nofile=20000:20000", …]` with what this host allows. */
export function defaultUlimits(): string {
  const { files, processes } = hardLimits();
  return `default_ulimits = ["nofile=${files}:${files}", "nproc=${processes}:${processes}"]`;
}
