import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { LoadCounts, LoadOrder } from './load-client.ts';

/** Load on a server from a process of its own. */
export interface Load {
  /** Ends it and gives what it counted. */
  stop(): Promise<LoadCounts>;
}

export async function startLoad(t: TestContext, order: LoadOrder): Promise<Load> {
  const child = fork(fileURLToPath(new URL('./load-client.ts', import.meta.url)), { stdio: 'inherit', execArgv: [] });
  t.after(() => child.kill('SIGKILL'));
  child.send(order);
  await message(child);
  return {
    stop() {
      child.send('stop');
      return message(child) as Promise<LoadCounts>;
    },
  };
}

function message(child: ChildProcess): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  child.once('message', resolve);
  child.once('exit', (code) => reject(new Error(`the load ended with ${code}`)));
  return promise;
}

/** Something to download slowly for as long as so many renewals last, at some 2 s each. */
export function longDownload(renewals: number): Buffer {
  return Buffer.alloc((64 + 2 * renewals) * 1024 * 1024, randomBytes(65_537));
}
