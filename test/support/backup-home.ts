import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { statePaths } from '../../src/config/state.ts';
import { openLedger } from '../../src/ledger/open.ts';
import { describeError } from '../../src/platform/errors.ts';
import { restore, type RestoreOptions, type RestoreReport } from '../../src/services/backup/restore.ts';
import { podserve, type Finished } from './command.ts';
import { scratchDirectory } from './scratch.ts';
import { treeOf } from './tree.ts';

export const CONFIGURATION =
  'certificates:\n  - { name: default, names: [lab.test] }\n  - { name: mail, names: [mail.lab.test, "*.mail.lab.test"] }\n';
/** What belongs to processes and not to the state, and the ledger, which is compared by what it says. */
export const OF_PROCESSES = /(^|\/)(\.lock|resident\.|ledger\.sqlite)[^/]*$/;
export const publisher = { host: 'test', command: 'test', version: '0' };

export interface Home {
  readonly path: string;
  readonly state: string;
  podserve(...args: string[]): Promise<Finished>;
}

export function homeIn(directory: string): Home {
  mkdirSync(directory, { recursive: true });
  return { path: directory, state: join(directory, 'data'), podserve: (...args) => podserve(args, { cwd: directory }) };
}

/** A home with two certificates, one of them with two generations. */
export async function filledHome(t: TestContext): Promise<Home> {
  const home = homeIn(join(scratchDirectory(t), 'first'));
  writeFileSync(join(home.path, 'podserve.yaml'), CONFIGURATION);
  succeeded(await home.podserve('certificates', '--mode', 'init'));
  succeeded(await home.podserve('certificates', '--mode', 'renew', '--force', '--name', 'mail'));
  return home;
}

export function succeeded(finished: Finished): Finished {
  assert.equal(finished.code, 0, finished.stdout + finished.stderr);
  return finished;
}

export async function backedUp(t: TestContext): Promise<{ home: Home; file: string; elsewhere: Home }> {
  const home = await filledHome(t);
  const file = join(home.path, '..', 'backup.tar.gz');
  succeeded(await home.podserve('backup', file));
  return { home, file, elsewhere: homeIn(join(home.path, '..', 'second')) };
}

export function inProcess(file: string, home: Home, changes: Partial<RestoreOptions> = {}): Promise<RestoreReport> {
  const options = { file, paths: statePaths(home.state, '/'), configFile: join(home.path, 'podserve.yaml'), publisher, now: Date.now() };
  return restore({ ...options, force: false, signal: new AbortController().signal, ...changes });
}

/** Restoring `file` must fail with this line and leave nothing anywhere. */
export async function refuses(file: string, home: Home, line: RegExp): Promise<void> {
  const untouched = treeOf(home.path);
  await assert.rejects(inProcess(file, home), (error) => {
    assert.match(describeError(error), line);
    return true;
  });
  assert.deepEqual(treeOf(home.path), untouched);
}

export function events(home: Home): unknown[] {
  using ledger = openLedger(join(home.state, 'authority', 'ledger.sqlite'), Date.now()).ledger;
  return ledger.events();
}
