/**
 * Makes package-lock.json fit every npm and registry; run by hand after `npm install`.
 *
 * The `engines` of optional packages go: npm leaves out an optional package, without a word, when they do not fit
 * the Node that runs npm. Ours run under the pinned Node, while npm runs on the host's, which may be Debian 12's.
 *
 * Optional packages for other platforms come in where they are missing: a mirror that holds only one platform's
 * makes `npm install` drop them, and then `npm ci` elsewhere finds the lock file incomplete.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const PROCESSORS = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64'];

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
for (const [path, entry] of Object.entries(lock.packages)) {
  if (entry.optional === true) delete entry.engines;
  if (path === '') continue;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (lock.packages[`node_modules/${name}`] !== undefined) continue;
    lock.packages[`node_modules/${name}`] = platformPackage(name, version, entry.dev === true);
  }
}
const root = lock.packages[''];
delete lock.packages[''];
lock.packages = { '': root, ...Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1))) };
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);

/** What npm would have noted, less the integrity, which only the registry knows. */
function platformPackage(name, version, dev) {
  const words = name.split(/[/-]/);
  const os = words.find((word) => SYSTEMS.includes(word));
  const cpu = words.find((word) => PROCESSORS.includes(word));
  if (os === undefined || cpu === undefined) throw new Error(`${name} names no platform: see why it is missing`);
  const libc = words.some((word) => word.startsWith('musl')) ? ['musl'] : undefined;
  return { version, cpu: [cpu], ...(dev ? { dev } : {}), ...(libc === undefined ? {} : { libc }), optional: true, os: [os] };
}
