import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';

import { scratchDirectory } from './scratch.ts';

const PROGRAM = fileURLToPath(new URL('fake-podman-program.ts', import.meta.url));

export interface FakePodman {
  /** For the commands and functions under test. */
  readonly env: Readonly<Record<string, string>>;
  /** What was asked so far, oldest first, one line each; the list is emptied. */
  calls(): string[];
  /** Writes what the program goes by, e.g. `fail-web` (stderr of kube play) or `unready-web-apache`. */
  put(name: string, text: string): void;
  remove(name: string): void;
  has(name: string): boolean;
  /** Changes a pod that is there. */
  change(pod: string, change: (text: string) => string): void;
}

/** A `podman` at the front of the search path, with the images of the pods. */
export function fakePodman(t: Pick<TestContext, 'after'>): FakePodman {
  const state = scratchDirectory(t);
  const programs = join(state, 'bin');
  mkdirSync(programs);
  writeFileSync(join(programs, 'podman'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
  chmodSync(join(programs, 'podman'), 0o755);
  const put = (name: string, text: string): void => writeFileSync(join(state, name), text);
  for (const kind of ['runtime', 'base', 'certificates', 'apache']) put(`image-localhost_podserve-harmony-${kind}_latest`, `id-of-${kind}`);
  put(
    'info',
    JSON.stringify({ version: { Version: '4.3.1' }, host: { ociRuntime: { name: 'runc' }, networkBackend: 'netavark', security: {} } }),
  );
  return {
    env: { PATH: `${programs}:${process.env['PATH'] ?? ''}`, FAKE_PODMAN: state },
    calls() {
      const file = join(state, 'calls');
      if (!existsSync(file)) return [];
      const lines = readFileSync(file, 'utf8').trim().split('\n');
      rmSync(file);
      return lines;
    },
    put,
    remove: (name) => rmSync(join(state, name), { force: true }),
    has: (name) => existsSync(join(state, name)),
    change: (pod, change) => put(`pod-${pod}`, change(readFileSync(join(state, `pod-${pod}`), 'utf8'))),
  };
}

/** A publication in which something is current, as far as links tell. */
export function publishSomething(certificates: string): void {
  const link = join(certificates, 'default', '..data');
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync('..gen-000001', link);
}
