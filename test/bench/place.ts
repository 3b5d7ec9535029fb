import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the measurements share: the bundled program with a filled compile cache, and room for state. */
export interface Place extends Disposable {
  readonly directory: string;
  /** `podserve ARGS`, bundled, as the images start it. */
  podserve(...args: string[]): string[];
  readonly env: Readonly<Record<string, string>>;
  /** A configuration of `count` certificates of one name each. */
  configuration(count: number): string;
}

/** Builds the bundle into a temporary directory. */
export function makePlace(): Place {
  const directory = mkdtempSync(join(tmpdir(), 'podserve-bench-'));
  const bundle = join(directory, 'podserve.cjs');
  const root = join(import.meta.dirname, '../..');
  const built = spawnSync(process.execPath, [join(root, 'scripts/build-bundle.ts'), bundle], { encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`the bundle was not built: ${built.stderr}`);
  return {
    directory,
    env: { NODE_COMPILE_CACHE: join(directory, 'cache'), NODE_OPTIONS: '' },
    podserve: (...args) => [process.execPath, ...memoryFlags(args), bundle, ...args],
    configuration(count) {
      const file = join(directory, `${count}.yaml`);
      const names = Array.from({ length: count }, (_, index) => (index === 0 ? 'default' : `name-${index}`));
      const certificates = names.map((name) => `  - { name: ${name}, names: [${name}.lab.example.org] }\n`).join('');
      writeFileSync(file, `domain: lab.example.org\ncertificates:\n${certificates}`);
      return file;
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** An empty directory of its own in the place. */
export function emptyDirectory(place: Place, name: string): string {
  const directory = join(place.directory, name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  return directory;
}

/** Those that bin/podserve gives, and the images will. */
function memoryFlags(args: readonly string[]): string[] {
  const stays = args.includes('cron') || args.includes('apache');
  return ['--max-semi-space-size=1', ...(stays ? ['--optimize-for-size'] : [])];
}
