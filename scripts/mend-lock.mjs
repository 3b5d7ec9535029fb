/**
 * Makes package-lock.json fit for every npm since 9.2; run by hand after `npm install PACKAGE`.
 *
 * - npm leaves out an optional package, without a word, when its `engines` do not fit the Node that runs npm. Ours run
 *   under the pinned Node, while npm runs on the host's, which may be Debian 12's Node 18: the `engines` are taken out.
 *   Those of development packages too: npm would warn of each.
 * - `npm ci` refuses a lock file without the packages for foreign platforms, and `npm install` writes none for those that
 *   the registry at hand does not have. They are added without a checksum, for no supported platform ever fetches them;
 *   those for musl get a platform that npm 9.2, which knows no `libc`, does not take for this one.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const PLATFORM = /(?:^|[-/])(aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|wasm32|win32)-?(\w*)/;

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const { packages } = lock;
for (const entry of Object.values(packages)) if (entry.optional === true || entry.dev === true) delete entry.engines;

for (const entry of Object.values({ ...packages })) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    if (packages[path] !== undefined) continue;
    const [, os, cpu] = PLATFORM.exec(name) ?? [];
    if (os === undefined) throw new Error(`${name} does not say which platform it is for`);
    packages[path] = { version, ...platform(os, cpu, name.endsWith('musl')), ...(entry.dev === true ? { dev: true } : {}), optional: true };
  }
}
function platform(os, cpu, musl) {
  if (os === 'wasm32') return { cpu: ['wasm32'] };
  return { cpu: [cpu], os: [musl ? `${os}-musl` : os] };
}

lock.packages = Object.fromEntries(Object.entries(packages).toSorted(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
