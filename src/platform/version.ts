import { readFileSync } from 'node:fs';

/** Replaced by the bundler with the version as a literal; undefined when run from source. */
declare const PODSERVE_VERSION: string | undefined;

/** The version of this program, from package.json. */
export function version(): string {
  if (typeof PODSERVE_VERSION === 'string') return PODSERVE_VERSION;
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}
