import { appendFileSync, chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writePodmanSettings } from '../../scripts/test/podman.ts';
import { run, start, type Finished, type RunOptions } from './command.ts';

const UID = 64_321;
const NAME = 'podserve-test';
/** What users are looked up in, by newuidmap too. */
const FILES = ['passwd', 'group', 'subuid', 'subgid'];
export const FIRST_SUBORDINATE_ID = 1_000_000;

/** Of its own mounts alone: for nobody else on this machine is there such a user, and no device is open to more users. */
const MOUNTS = `
set -e
for file in ${FILES.join(' ')}; do mount --bind "$1/etc/$file" "/etc/$file"; done
mknod "$1/dev/tun" c 10 200
chmod 0666 "$1/dev/tun"
mount --bind "$1/dev/tun" /dev/net/tun
echo mounted
exec sleep infinity
`;

/** A user without any right, but with subordinate ids, as one who runs Podman has them. Needs root. */
export interface OrdinaryUser {
  readonly uid: number;
  readonly home: string;
  /** Runs a program as this user, in its home, with its own Podman. */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<Finished>;
}

/** Its processes, pods and images are gone when the test ends. */
export async function ordinaryUser(t: { after(end: () => unknown): void }): Promise<OrdinaryUser> {
  const place = mkdtempSync(join(tmpdir(), 'podserve-user-'));
  chmodSync(place, 0o755);
  const [home, runtime, podman, temporary] = ['home', 'run', 'podman', 'tmp'].map((part) => join(place, part)) as [
    string,
    string,
    string,
    string,
  ];
  for (const directory of [home, runtime, podman, temporary, join(place, 'etc'), join(place, 'dev')]) mkdirSync(directory);
  const settings = writePodmanSettings(podman);
  for (const file of FILES) copyFileSync(join('/etc', file), join(place, 'etc', file));
  const line = (file: string, text: string): void => appendFileSync(join(place, 'etc', file), `${text}\n`);
  line('passwd', `${NAME}:x:${UID}:${UID}::${home}:/bin/sh`);
  line('group', `${NAME}:x:${UID}:`);
  for (const file of ['subuid', 'subgid']) line(file, `${NAME}:${FIRST_SUBORDINATE_ID}:131072`);
  for (const path of [home, runtime, podman, temporary, ...readdirSync(podman).map((file) => join(podman, file))])
    chownSync(path, UID, UID);
  chmodSync(runtime, 0o700);

  t.after(async () => {
    await user.run('podman', ['pod', 'rm', '--all', '--force', '--time', '0']);
    // Podman's own process that holds the user namespace.
    await user.run('podman', ['system', 'migrate']);
  });
  const mounts = start(t, 'unshare', ['--mount', '--propagation', 'private', 'sh', '-c', MOUNTS, 'sh', place]);
  t.after(() => rmSync(place, { recursive: true, force: true, maxRetries: 5 }));
  await mounts.says(/^mounted$/m);
  const entering = [`--mount=/proc/${mounts.child.pid}/ns/mnt`, 'setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups'];
  const own = { HOME: home, USER: NAME, XDG_RUNTIME_DIR: runtime, TMPDIR: temporary, ...settings };
  const user: OrdinaryUser = {
    uid: UID,
    home,
    run: (program, args, options = {}) =>
      run('nsenter', [...entering, program, ...args], { cwd: home, ...options, env: { ...own, ...options.env } }),
  };
  return user;
}
