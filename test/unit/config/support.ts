import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import type { Config } from '../../../src/config/config.ts';
import type { HostTraits } from '../../../src/config/host.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { PodserveError, errorLines } from '../../../src/platform/errors.ts';
import { scratchDirectory } from '../../support/scratch.ts';

export const ROOT: HostTraits = { lowPorts: true, ipv6: true };

export type Env = Readonly<Record<string, string | undefined>>;

/** Writes podserve.yaml into a new directory and gives that directory. */
export function writeConfig(t: Pick<TestContext, 'after'>, yaml: string | Uint8Array): string {
  const directory = scratchDirectory(t);
  writeFileSync(join(directory, 'podserve.yaml'), yaml);
  return directory;
}

/** What a file means. */
export function understood(t: Pick<TestContext, 'after'>, yaml: string | Uint8Array, env: Env = {}): Promise<Config> {
  return loadConfig({ cwd: writeConfig(t, yaml), env, traits: ROOT });
}

/** What a file and an environment that are wrong are told, line by line; fails when they are right. */
export async function refused(t: Pick<TestContext, 'after'>, yaml: string | Uint8Array, env: Env = {}): Promise<string[]> {
  return errorLines(await refusal(t, yaml, env));
}

export async function refusal(t: Pick<TestContext, 'after'>, yaml: string | Uint8Array, env: Env = {}): Promise<PodserveError> {
  try {
    await understood(t, yaml, env);
  } catch (error) {
    if (error instanceof PodserveError) return error;
    throw error;
  }
  throw new Error(`this was taken:\n${yaml.toString()}`);
}
