/**
 * Makes dist/podserve.cjs: the whole program in one minified file that needs no node_modules.
 *
 * CommonJS rather than an ES module, and without source maps: see docs/decisions/0006-one-bundled-file.md.
 */
import { build } from 'esbuild';
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const outfile = process.argv[2] ?? join(root, 'dist/podserve.cjs');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

await build({
  entryPoints: [join(root, 'src/main.ts')],
  outfile,
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node26',
  format: 'cjs',
  // The place of package.json matters only where the version is not written in.
  define: { PODSERVE_VERSION: JSON.stringify(version), 'import.meta.url': '""' },
  banner: { js: '#!/usr/bin/env node' },
  legalComments: 'none',
  logLevel: 'warning',
});
chmodSync(outfile, 0o755);
process.stdout.write(`${outfile}: ${(statSync(outfile).size / 1024).toFixed(0)} KiB, podserve ${version}\n`);
