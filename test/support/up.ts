import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { PODSERVE, podserve, start, type Finished, type Running } from './command.ts';
import { freePort, scratchDirectory } from './scratch.ts';

/** A directory with a podserve.yaml on free ports, where `podserve` commands are run as a user would. */
export interface Home {
  readonly directory: string;
  readonly port: number;
  readonly page: string;
  /** Plain status port of the certificate service. */
  readonly status: string;
  podserve(...args: string[]): Promise<Finished>;
  start(...args: string[]): Running;
  /** Starts `up` and waits until it has said everything. */
  up(): Promise<Running>;
}

/** @param more further lines of podserve.yaml */
export async function home(t: Pick<TestContext, 'after'>, more = ''): Promise<Home> {
  const directory = scratchDirectory(t);
  const [port, adminStatus, certificatesStatus, apacheStatus] = [await freePort(), await freePort(), await freePort(), await freePort()];
  writeFileSync(
    join(directory, 'podserve.yaml'),
    `admin: { listen: "localhost:${port}", status: "127.0.0.1:${adminStatus}" }
certificateService: { status: "127.0.0.1:${certificatesStatus}" }
apache: { status: "127.0.0.1:${apacheStatus}" }
${more}`,
  );
  mkdirSync(join(directory, 'run'), { mode: 0o700 });
  const options = { cwd: directory, env: { XDG_RUNTIME_DIR: join(directory, 'run') } };
  const begin = (...args: string[]): Running => start(t, PODSERVE, args, options);
  return {
    directory,
    port,
    page: `https://localhost:${port}`,
    status: `http://127.0.0.1:${certificatesStatus}`,
    podserve: (...args) => podserve(args, options),
    start: begin,
    async up() {
      const running = begin('up');
      await running.says(/to stop +Ctrl-C/);
      return running;
    },
  };
}
