import { createHash } from 'node:crypto';

import { version } from '../platform/version.ts';
import { hostTraits, type HostTraits } from './host.ts';
import { readSource } from './source.ts';
import { VARIABLES, relevantVariables, type Environment } from './variables.ts';

export interface LoadOptions {
  /** What `--config` names; without it the default files are looked for. */
  readonly file?: string | undefined;
  readonly env: Environment;
  readonly cwd: string;
  /** For tests; found out otherwise. */
  readonly traits?: HostTraits;
}

/**
 * A digest that changes whenever `loadConfig` might give something else: over the file's bytes and path,
 * the variables that are read, what the host allows and this program's version. Taken before a
 * `loadConfig`, it never vouches for a newer file than the one that was interpreted.
 * @throws PodserveError CONFIG_UNREADABLE
 */
export async function configDigest(options: LoadOptions): Promise<{ readonly digest: string; readonly file: string | undefined }> {
  const source = await readSource(options);
  const parts = [version(), source?.file ?? null, relevantVariables(options.env), options.traits ?? hostTraits(), pathsFrom(options)];
  const hash = createHash('sha256').update(`${JSON.stringify(parts)}\n`);
  if (source !== undefined) hash.update(source.bytes);
  return { digest: hash.digest('hex'), file: source?.file };
}

/** Relative paths in variables begin at the current directory. */
function pathsFrom({ env, cwd }: LoadOptions): string | null {
  return [env[VARIABLES.acmeCaFile], env[VARIABLES.eabHmacFile]].some((path) => path?.trim()) ? cwd : null;
}
