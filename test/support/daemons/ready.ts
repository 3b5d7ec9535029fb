import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Running } from '../command.ts';

/** Resolves when somebody accepts on each port of 127.0.0.1; fails with the daemon's output when it ends or takes too long. */
export async function listening(daemon: Running, ports: readonly number[], ms = 20_000): Promise<void> {
  const until = Date.now() + ms;
  for (const port of ports) {
    while (!(await accepts(port))) {
      if (daemon.child.exitCode !== null || daemon.child.signalCode !== null) throw new Error(`the daemon ended:\n${daemon.output()}`);
      if (Date.now() > until) throw new Error(`nobody listens on port ${port} after ${ms} ms:\n${daemon.output()}`);
      await sleep(20);
    }
  }
}

function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, '127.0.0.1');
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/**
 * Ends a daemon with SIGTERM, or its own command, so that its children go with it, when the test ends. Called before its
 * directory is made: what is registered first runs first, and a daemon needs its files to stop well.
 */
export function stopAtEnd(t: Pick<TestContext, 'after'>): (daemon: Running, stop?: () => Promise<unknown>) => void {
  let started: Running | undefined;
  let command: (() => Promise<unknown>) | undefined;
  t.after(async () => {
    if (started === undefined) return;
    if (command !== undefined) await command();
    else if (started.child.exitCode === null && started.child.signalCode === null) started.child.kill('SIGTERM');
    const late = setTimeout(() => started?.child.kill('SIGKILL'), 5000);
    await started.done;
    clearTimeout(late);
  });
  return (daemon, stop) => {
    started = daemon;
    command = stop;
  };
}
