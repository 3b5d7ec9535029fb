/**
 * Gives the pinned Node the one library that a minimal Debian lacks.
 *
 * Official Node binaries need libatomic.so.1 from version 25 on, and Debian brings it only along with a
 * compiler (nodejs/node issue 60790). It is taken from Debian's own package, which apt fetches and checks
 * without being root, and kept in node_modules: the host stays as it was. Installing the package was
 * rejected because `npm start` should change nothing outside the checkout.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

const LIBRARY = 'libatomic.so.1';
const PACKAGE = 'libatomic1';

/** Whether a program's complaint is about this library. */
export function lacksLibatomic(complaint) {
  return complaint.includes(LIBRARY);
}

/**
 * Puts the library into `directory` and replaces `launcher` by a script that runs `program` with it.
 * Returns whether that worked; it does not where there is no apt or no network.
 */
export function fetchLibatomic(directory, launcher, program) {
  const scratch = mkdtempSync(join(tmpdir(), 'podserve-libatomic-'));
  try {
    const found = download(scratch, []) || download(scratch, privateLists(scratch));
    if (!found) return false;
    const unpacked = join(scratch, 'unpacked');
    const library = readdirSync(join(unpacked, 'usr', 'lib')).map((triplet) => join(unpacked, 'usr', 'lib', triplet, LIBRARY));
    mkdirSync(directory, { recursive: true });
    copyFileSync(library.find(existsSync), join(directory, LIBRARY));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  if (existsSync(launcher)) unlinkSync(launcher);
  // Relative to the script, so that the checkout can be moved.
  const [libraries, target] = [directory, program].map((path) => relative(dirname(launcher), path));
  writeFileSync(launcher, `#!/bin/sh\nhere=\${0%/*}\nLD_LIBRARY_PATH=$here/${libraries} exec "$here/${target}" "$@"\n`);
  chmodSync(launcher, 0o755);
  return true;
}

function download(scratch, options) {
  if (options.length > 0 && !ran('apt-get', [...options, '-qq', 'update'], scratch)) return false;
  if (!ran('apt-get', [...options, '-qq', 'download', PACKAGE], scratch)) return false;
  const archive = readdirSync(scratch).find((name) => name.startsWith(`${PACKAGE}_`));
  return archive !== undefined && ran('dpkg-deb', ['-x', archive, 'unpacked'], scratch);
}

/** Package lists of our own, for a host that has none (a fresh container) or old ones and a user who may not renew them. */
function privateLists(scratch) {
  for (const part of ['state/lists/partial', 'cache/archives/partial']) mkdirSync(join(scratch, part), { recursive: true });
  const settings = {
    'Dir::State': join(scratch, 'state'),
    'Dir::State::status': '/var/lib/dpkg/status',
    'Dir::Cache': join(scratch, 'cache'),
    'APT::Sandbox::User': 'root',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

function ran(program, args, cwd) {
  return spawnSync(program, args, { cwd, stdio: 'ignore' }).status === 0;
}
