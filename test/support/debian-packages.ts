import { mkdtempSync, mkdirSync, existsSync, renameSync, rmSync, writeFileSync, readdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { run } from './command.ts';

const TOOLS = fileURLToPath(new URL('../../node_modules/.cache/tools', import.meta.url));
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * The directory that a Debian package of another release is unpacked in (`usr/bin/…` below it), without
 * installing it: fetched from the mirror that this machine uses, signature checked, kept between runs.
 * Works for ordinary users. Fails with the name of what is missing: no test is skipped in silence.
 */
export async function unpackedDebianPackage(name: string, release: string): Promise<string> {
  const target = join(TOOLS, release, name);
  if (existsSync(target)) return target;
  mkdirSync(join(TOOLS, release), { recursive: true });
  const work = mkdtempSync(join(TOOLS, `${name}-`));
  try {
    await download(name, release, work);
    const archive = readdirSync(work).find((file) => file.endsWith('.deb'));
    if (archive === undefined) throw new Error(`apt-get download ${name} of Debian ${release} left no package`);
    await must('dpkg', ['-x', archive, 'unpacked'], work);
    moveUnlessThere(join(work, 'unpacked'), target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return target;
}

async function download(name: string, release: string, work: string): Promise<void> {
  for (const directory of ['state/lists/partial', 'cache/archives/partial']) mkdirSync(join(work, directory), { recursive: true });
  writeFileSync(join(work, 'status'), '');
  // An index of sid on a mirror may be past its date; what is fetched is signed all the same.
  writeFileSync(join(work, 'sources.list'), `deb [signed-by=${KEYRING} check-valid-until=no] ${await mirror()} ${release} main\n`);
  const options = [
    `Dir::Etc::SourceList=${work}/sources.list`,
    'Dir::Etc::SourceParts=/dev/null',
    'Dir::Etc::Preferences=/dev/null',
    'Dir::Etc::PreferencesParts=/dev/null',
    `Dir::State=${work}/state`,
    `Dir::State::status=${work}/status`,
    `Dir::Cache=${work}/cache`,
    `APT::Sandbox::User=${userInfo().username}`,
    'Acquire::Languages=none',
  ].flatMap((option) => ['-o', option]);
  await must('apt-get', [...options, '-qq', 'update'], work);
  await must('apt-get', [...options, '-qq', 'download', name], work);
}

/** Where this machine takes Debian's packages from, as apt itself understands its sources. */
async function mirror(): Promise<string> {
  const listing = await must('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'], '/');
  const found = listing.split('\n').find((uri) => /\/debian\/?$/.test(uri));
  if (found === undefined) throw new Error('apt on this machine has no Debian mirror among its sources');
  return found;
}

async function must(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, { cwd });
  if (code !== 0) throw new Error(`${program} ${args.slice(-2).join(' ')} failed: ${stderr.trim()}`);
  return stdout;
}

function moveUnlessThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    // Another test file was faster.
    if (!existsSync(to)) throw error;
  }
}
