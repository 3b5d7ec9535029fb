import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** What of this host decides whether podman can run pods, besides what podman tells itself. */
export interface PodHost {
  /** Version 1 and 2 mounted side by side, which crun refuses. */
  readonly hybridCgroups: boolean;
  /** Hard limit of open files. */
  readonly openFiles: number;
  /** Hard limit of processes. */
  readonly processes: number;
  /** CAP_SYS_RESOURCE: limits may be raised. */
  readonly mayRaiseLimits: boolean;
  /** The lowest port that any user may open. */
  readonly unprivilegedPortStart: number;
  /** All of podman's containers.conf in the order in which they are read. */
  readonly containersConf: string;
  /** Whether a program is where podman looks for it. */
  has(program: string): boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Where podman looks for its own programs besides the search path: `helper_binaries_dir` of containers.conf(5). */
const HELPER_DIRECTORIES = ['/usr/local/libexec/podman', '/usr/local/lib/podman', '/usr/libexec/podman', '/usr/lib/podman'];
const SYSTEM_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/lib/cni', '/opt/cni/bin'];
const CAP_SYS_RESOURCE = 24n;

export function podHost(env: Environment): PodHost {
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(read('/proc/self/status'))?.[1] ?? '0';
  const limits = hardLimits();
  const directories = [...HELPER_DIRECTORIES, ...(env['PATH'] ?? '').split(':').filter((one) => one !== ''), ...SYSTEM_DIRECTORIES];
  return {
    hybridCgroups: / \/sys\/fs\/cgroup\/\S+ cgroup2 /.test(read('/proc/mounts')),
    openFiles: limits.files,
    processes: limits.processes,
    mayRaiseLimits: ((BigInt(`0x${capabilities}`) >> CAP_SYS_RESOURCE) & 1n) === 1n,
    unprivilegedPortStart: Number(read('/proc/sys/net/ipv4/ip_unprivileged_port_start') || 1024),
    containersConf: containersConf(env),
    has: (program) => directories.some((directory) => existsSync(join(directory, program))),
  };
}

/** Hard limits of this process, from /proc/self/limits (proc(5)). */
export function hardLimits(): { readonly files: number; readonly processes: number } {
  const text = read('/proc/self/limits');
  const hard = (name: string): number => Number(new RegExp(String.raw`^${name}\s+\S+\s+(\d+)`, 'm').exec(text)?.[1] ?? Infinity);
  return { files: hard('Max open files'), processes: hard('Max processes') };
}

/** CONTAINERS_CONF alone where it is set, as podman does. */
function containersConf(env: Environment): string {
  const only = env['CONTAINERS_CONF'];
  if (only !== undefined && only !== '') return read(only);
  const own = join(env['XDG_CONFIG_HOME'] ?? join(env['HOME'] ?? '/root', '.config'), 'containers');
  const files = ['/usr/share/containers', '/etc/containers', own].flatMap((directory) => [
    join(directory, 'containers.conf'),
    ...list(join(directory, 'containers.conf.d')),
  ]);
  return files.map(read).join('\n');
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory)
      .toSorted()
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
