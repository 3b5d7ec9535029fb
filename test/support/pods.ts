import { chownSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { preparePodman } from '../../scripts/test/podman.ts';
import { readCurrent, type Generation } from '../../src/publication/read.ts';
import { renderDeploy } from '../../src/services/pods/render.ts';
import { PODSERVE, run, type Finished, type RunOptions } from './command.ts';
import type { OrdinaryUser } from './ordinary-user.ts';
import { scratchDirectory } from './scratch.ts';

export const DEPLOY = fileURLToPath(new URL('../../deploy', import.meta.url));

/**
 * The Podman of the tests: its images are kept between runs, and nobody else's pods are in it. Podman remembers the
 * path of its storage: that of the run counts, as the checkout may be mounted elsewhere for the tests.
 */
const PODMAN = process.env['PODSERVE_TEST_PODMAN'] ?? fileURLToPath(new URL('../../node_modules/.cache/podman', import.meta.url));
export const PODMAN_ENV = preparePodman(PODMAN).env;

/** The pods of deploy/ and deploy/examples. */
const SHIPPED = [
  'certificates',
  'web',
  'consumer',
  'mail',
  'podserve',
  'integration-test',
  'wait-for-certs',
  'wait-for-certs-loop',
  'nginx',
  'haproxy',
  // The CA that tests play (pebble-pod.ts).
  'pebble',
];
const REMOVE_ALL = ['pod', 'rm', '--force', '--ignore', '--time', '0', ...SHIPPED];

export interface PlayOptions {
  /** Settings that differ from deploy/settings.yaml. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly network?: string;
  /** `--replace`: ends the pod of that name first. */
  readonly replace?: boolean;
  /** Changes the text before it is played: only where the file cannot be played as it is. */
  readonly edit?: (text: string) => string;
}

/** A host with a data directory of its own, on which the shipped files are played. Its pods end with the test. */
export interface PodHost {
  readonly data: string;
  /** What a relative name such as `certificates.yaml` or `examples/wait-for-certs.yaml` is, rendered for this host. */
  render(file: string, options?: PlayOptions): string;
  /** `podman kube play`, as the head of the file says. Fails loudly. */
  play(file: string, options?: PlayOptions): Promise<void>;
  /** `podman ARGS`, whatever comes of it. */
  podman(args: readonly string[], options?: RunOptions): Promise<Finished>;
  /** `podman ARGS`, failing loudly. @returns standard output, trimmed */
  must(args: readonly string[]): Promise<string>;
  /** Runs a program in a container, e.g. `web-apache`. */
  exec(container: string, args: readonly string[], options?: { readonly user?: string }): Promise<Finished>;
  /** `bin/podserve ARGS` on this host. */
  podserve(args: readonly string[], options?: RunOptions): Promise<Finished>;
  logs(container: string): Promise<string>;
  removePod(name: string): Promise<void>;
  /** Ends all pods, and begins with an empty data directory again. */
  removeEverything(): Promise<void>;
  current(name?: string): Promise<Generation | undefined>;
  /** /status of a service in its pod, as JSON. */
  status(container: string, port: number): Promise<Record<string, unknown>>;
}

/** Runs programs as root, with the Podman of the tests. */
const AS_ROOT: PodmanUser = {
  run: (program, args, options = {}) => run(program, args, { ...options, env: { ...PODMAN_ENV, ...options.env } }),
};

/** Whose pods they are. */
interface PodmanUser {
  run(program: string, args: readonly string[], options?: RunOptions): Promise<Finished>;
}

/** A host of root's pods. */
export async function podHost(t: { after(end: () => unknown): void }): Promise<PodHost> {
  const host = hostIn(scratchDirectory(t), AS_ROOT);
  await host.podman(REMOVE_ALL);
  t.after(() => host.podman(REMOVE_ALL));
  return host;
}

/** A host of the pods of an ordinary user, who ends them. */
export function podHostOf(user: OrdinaryUser): PodHost {
  const host = hostIn(user.home, user);
  for (const directory of [host.data, join(host.data, 'config')]) chownSync(directory, user.uid, user.uid);
  return host;
}

function hostIn(base: string, owner: PodmanUser): PodHost {
  const data = join(base, 'data');
  mkdirSync(join(data, 'config'), { recursive: true });
  const podman: PodHost['podman'] = (args, options) => owner.run('podman', args, options);
  const must: PodHost['must'] = async (args) => {
    const { code, stdout, stderr } = await podman(args);
    if (code !== 0) throw new Error(`podman ${args.join(' ')} failed with ${code}:\n${stderr}${stdout}`);
    return stdout.trim();
  };
  const render: PodHost['render'] = (file, { edit = (text: string) => text } = {}) => {
    const rendered = join(base, file.replaceAll('/', '-'));
    writeFileSync(rendered, edit(renderDeploy(readFileSync(join(DEPLOY, file), 'utf8'), data)));
    return rendered;
  };
  const settingsFile = (of: string, settings: Readonly<Record<string, string>>): string => {
    const file = join(base, `settings-for-${of.replaceAll('/', '-')}`);
    let text = readFileSync(join(DEPLOY, 'settings.yaml'), 'utf8');
    for (const [name, value] of Object.entries(settings)) {
      const line = new RegExp(`^  ${name}: .*$`, 'm');
      if (!line.test(text)) throw new Error(`deploy/settings.yaml has no ${name}`);
      text = text.replace(line, `  ${name}: ${JSON.stringify(value)}`);
    }
    writeFileSync(file, text);
    return file;
  };
  return {
    data,
    render,
    podman,
    must,
    async play(file, options = {}) {
      const network = options.network === undefined ? [] : ['--network', options.network];
      const replace = options.replace === true ? ['--replace'] : [];
      await must([
        'kube',
        'play',
        ...replace,
        ...network,
        '--configmap',
        settingsFile(file, options.settings ?? {}),
        render(file, options),
      ]);
    },
    exec: (container, args, { user } = {}) => podman(['exec', ...(user === undefined ? [] : ['--user', user]), container, ...args]),
    podserve: (args, options) => owner.run(PODSERVE, args, options),
    logs: async (container) => {
      const { stdout, stderr } = await podman(['logs', container]);
      return stdout + stderr;
    },
    async removePod(name) {
      await must(['pod', 'rm', '--force', '--ignore', '--time', '2', name]);
    },
    async removeEverything() {
      await podman(REMOVE_ALL);
      for (const part of readdirSync(data)) rmSync(join(data, part), { recursive: true, force: true });
      mkdirSync(join(data, 'config'));
    },
    current: (name = 'default') => readCurrent(join(data, 'certificates'), name),
    async status(container, port) {
      const script = `exec 3<>/dev/tcp/127.0.0.1/${port}; printf 'GET /status HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
      const answer = await must(['exec', container, 'bash', '-c', script]);
      return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>;
    },
  };
}

/** Asks until it is so; fails with what was wished and what `last` says. */
export async function eventually(wish: () => Promise<boolean>, what: string, ms = 20_000, last?: () => Promise<string>): Promise<void> {
  let cause: unknown;
  for (const deadline = Date.now() + ms; Date.now() < deadline; await setTimeout(50)) {
    try {
      if (await wish()) return;
    } catch (error) {
      cause = error;
    }
  }
  throw new Error(`within ${ms} ms it did not come about that ${what}\n${(await last?.()) ?? ''}`, { cause });
}
