import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Replaced by the bundler with the version as a literal; undefined when run from source. */
declare const PODSERVE_VERSION: string | undefined;

/** The checkout that this program runs from; undefined in the bundled program, which has none. */
export function checkoutDirectory(): string | undefined {
  if (typeof PODSERVE_VERSION === 'string') return undefined;
  const directory = resolve(fileURLToPath(new URL('../..', import.meta.url)));
  return existsSync(join(directory, 'package-lock.json')) ? directory : undefined;
}
