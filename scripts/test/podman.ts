import { spawnSync } from 'node:child_process';
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
  const env = { CONTAINERS_CONF: conf, CONTAINERS_STORAGE_CONF: storage };
  return { env, trouble: troubleWith(env) };
}

function troubleWith(env: PodmanPlace['env']): string | undefined {
  const { status, stderr, error } = spawnSync('podman', ['info'], { env: { ...process.env, ...env }, encoding: 'utf8', timeout: 60_000 });
  if (status === 0) return undefined;
  return `podman does not work here: ${(stderr || String(error)).trim()}`;
}
