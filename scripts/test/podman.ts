import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the pod tests run with: a Podman that shares nothing with the one of this machine's user. */
export interface PodmanPlace {
  /** For every process that starts podman. */
  readonly env: Readonly<Record<string, string>>;
  /** Why Podman cannot work here, or undefined. */
  readonly trouble: string | undefined;
}

/**
 * Makes a Podman of the tests' own: its images stay from run to run, its pods and networks are nobody else's. The
 * settings are those that machines with hybrid cgroups and low limits need; they hold on others too.
 * @param directory absolute
 */
export function preparePodman(directory: string): PodmanPlace {
  const env = writePodmanSettings(directory);
  return { env, trouble: troubleWith(env) };
}

/** @returns the variables that lead podman to what was written into the directory */
export function writePodmanSettings(directory: string): PodmanPlace['env'] {
  for (const part of ['storage', 'run', 'networks', 'tmp', 'volumes']) mkdirSync(join(directory, part), { recursive: true });
  const conf = join(directory, 'containers.conf');
  const storage = join(directory, 'storage.conf');
  writeFileSync(
    conf,
    [
      '[containers]',
      'default_ulimits = ["nofile=20000:20000","nproc=20000:20000"]',
      '[engine]',
      'runtime = "runc"',
      'lock_type = "file"',
      `tmp_dir = ${JSON.stringify(join(directory, 'tmp'))}`,
      `volume_path = ${JSON.stringify(join(directory, 'volumes'))}`,
      '[network]',
      'network_backend = "netavark"',
      `network_config_dir = ${JSON.stringify(join(directory, 'networks'))}`,
      '',
    ].join('\n'),
  );
  writeFileSync(
    storage,
    [
      '[storage]',
      'driver = "overlay"',
      `graphroot = ${JSON.stringify(join(directory, 'storage'))}`,
      `runroot = ${JSON.stringify(join(directory, 'run'))}`,
      '',
    ].join('\n'),
  );
  return { CONTAINERS_CONF: conf, CONTAINERS_STORAGE_CONF: storage };
}

/** Networks that Podman makes by itself. */
const OWN_NETWORKS: readonly string[] = ['podman', 'podman-default-kube-network'];

function troubleWith(env: PodmanPlace['env']): string | undefined {
  const { status, stderr, error } = spawnSync('podman', ['info'], { env: { ...process.env, ...env }, encoding: 'utf8', timeout: 60_000 });
  if (status === 0) return undefined;
  return `podman does not work here: ${(stderr || String(error)).trim()}`;
}

/** Builds what is missing or made from other sources. @returns the complaint, empty when they are there */
export async function buildImages(wish: { env: PodmanPlace['env']; checkout: string; signal: AbortSignal }): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const child = spawn(join(wish.checkout, 'bin/podserve'), ['images', 'build'], {
    env: { ...process.env, ...wish.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: wish.signal,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  child.once('error', (error) => resolve(`${output}${error.message}`));
  child.once('close', (code) => resolve(code === 0 ? '' : output || `podserve images build ended with ${code}`));
  return promise;
}

/** Takes pods, containers, volumes and networks away; images stay. @returns what there was to take away but volumes, which podman keeps */
export function removeEverything(env: PodmanPlace['env']): string[] {
  const podman = (...args: readonly string[]): string[] => {
    const { stdout } = spawnSync('podman', args, { env: { ...process.env, ...env }, encoding: 'utf8', timeout: 120_000 });
    return (stdout || '').split('\n').filter((line) => line !== '');
  };
  const pods = podman('pod', 'ps', '--format', '{{.Name}}');
  if (pods.length > 0) podman('pod', 'rm', '--force', '--time', '1', ...pods);
  const containers = podman('ps', '--all', '--format', '{{.Names}}');
  if (containers.length > 0) podman('rm', '--force', '--time', '1', ...containers);
  const networks = podman('network', 'ls', '--format', '{{.Name}}').filter((name) => !OWN_NETWORKS.includes(name));
  if (networks.length > 0) podman('network', 'rm', '--force', ...networks);
  podman('volume', 'prune', '--force');
  return [
    ...pods.map((name) => `pod ${name}`),
    ...containers.map((name) => `container ${name}`),
    ...networks.map((name) => `network ${name}`),
  ];
}
