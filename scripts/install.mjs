/**
 * Installs what package-lock.json names, once, and is silent when that is done already.
 *
 * Plain JavaScript without dependencies, in a syntax that old Nodes read too: this file runs on the
 * host's own Node, before the pinned one is there, and must be able to say what is wrong.
 *
 * npm's own mark of a finished install (node_modules/.package-lock.json) was not used: it says nothing
 * of an optional package that failed to download, and the pinned Node is one.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { accessSync, constants, existsSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { fetchLibatomic, lacksLibatomic } from './fetch-libatomic.mjs';

const OLDEST_NPM = [9, 2];
const HEARTBEAT_MS = 10000;
/** flock's exit code for "somebody else holds it", chosen so that it is none of npm's. */
const HELD = 75;
const INTERRUPTED = 130;
/** What node_modules takes, with room for the copy that npm makes while it unpacks. */
const NEEDED_MIB = 500;
const NODE_PACKAGE = 'node_modules/node-linux-';

const NETWORK =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|E5\d\d|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+)\b/;

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const modules = join(root, 'node_modules');
const marker = join(modules, '.podserve-installed');
const node = join(modules, '.bin', 'node');

class InstallProblem extends Error {}

async function main() {
  const lockText = readFileSync(join(root, 'package-lock.json'));
  const wanted = `${createHash('sha256').update(lockText).digest('hex')} ${process.platform}-${process.arch}\n`;
  if (readMarker() === wanted) return 0;

  const lock = JSON.parse(lockText.toString());
  checkPlatform(lock);
  checkWritable();
  const npm = findNpm();
  checkNpmVersion(npm);
  if (process.argv[2] === '--locked') return install(npm, lock, wanted);
  return underLock();
}

function readMarker() {
  try {
    return readFileSync(marker, 'utf8');
  } catch {
    return undefined;
  }
}

/** The entry of package-lock.json that is the pinned Node for this machine. */
function pinnedNode(lock) {
  return Object.entries(lock.packages).find(([path, entry]) => path.startsWith(NODE_PACKAGE) && isForHere(entry));
}

function isForHere(entry) {
  return allows(entry.os, process.platform) && allows(entry.cpu, process.arch) && allows(entry.libc, 'glibc');
}

function allows(list, value) {
  return list === undefined || [].concat(list).includes(value);
}

function checkPlatform(lock) {
  const here = `${process.platform} ${process.arch}`;
  if (pinnedNode(lock) === undefined) {
    const offered = Object.entries(lock.packages).filter(([path]) => path.startsWith(NODE_PACKAGE));
    const places = offered.map(([, { os, cpu }]) => `${os} ${cpu}`).join(' and ');
    throw new InstallProblem(`there is no pinned Node for ${here}: PodServe runs on ${places}`);
  }
  if (process.platform === 'linux' && process.report !== undefined) {
    process.report.excludeNetwork = true;
    const report = process.report.getReport();
    const { header } = typeof report === 'string' ? JSON.parse(report) : report;
    if (header.glibcVersionRuntime === undefined) {
      throw new InstallProblem(
        `the pinned Node needs glibc, and this ${here} system has another C library (musl?): use Debian or the images`,
      );
    }
  }
}

function checkWritable() {
  for (const directory of [root, modules]) {
    if (directory === modules && !existsSync(modules)) continue;
    try {
      accessSync(directory, constants.W_OK | constants.X_OK);
    } catch (error) {
      const why = error.code === 'EROFS' ? 'the file system is read-only' : 'this user may not write there';
      throw new InstallProblem(`cannot install into ${directory}: ${why}; run it from a directory that you own`);
    }
  }
}

/** npm treats a package that did not fit on the disk as one that may be left out, so the space is looked at first. */
function checkSpace() {
  if (fs.statfsSync === undefined) return;
  const { bavail, bsize } = fs.statfsSync(root);
  const free = Math.floor((bavail * bsize) / 2 ** 20);
  if (free < NEEDED_MIB) throw new InstallProblem(`the disk is full: ${free} MiB are free at ${root}, and ${NEEDED_MIB} are needed`);
}

/** How to run the npm that runs us, with the Node that runs it; never the Node inside the directory that npm is about to replace. */
function findNpm() {
  const path = (process.env.PATH || '')
    .split(':')
    .filter((directory) => !directory.startsWith(modules))
    .join(':');
  const env = { ...process.env, PATH: path };
  const script = process.env.npm_execpath;
  const runner = process.env.npm_node_execpath;
  if (/npm-cli\.c?js$/.test(script || '') && runner && !runner.startsWith(modules) && existsSync(script)) {
    return { program: runner, args: [script], env };
  }
  return { program: 'npm', args: [], env };
}

function checkNpmVersion(npm) {
  const asked = /^npm\/(\S+)/.exec(process.env.npm_config_user_agent || '');
  let version = asked === null ? undefined : asked[1];
  if (version === undefined) {
    const answer = spawnSync(npm.program, [...npm.args, '--version'], { env: npm.env, encoding: 'utf8' });
    if (answer.error !== undefined) throw new InstallProblem('npm is not installed: on Debian, apt-get install npm');
    version = answer.stdout.trim();
  }
  const [major, minor] = version.split('.').map(Number);
  if (major < OLDEST_NPM[0] || (major === OLDEST_NPM[0] && minor < OLDEST_NPM[1])) {
    throw new InstallProblem(`npm ${version} is too old: ${OLDEST_NPM.join('.')} or newer is needed (Debian 12 and later have it)`);
  }
}

/** Runs this program again under flock(1), whose lock the kernel frees with its holder. Without flock there is no lock. */
async function underLock() {
  const again = [join(root, 'package-lock.json'), process.execPath, fileURLToPath(import.meta.url), '--locked'];
  const first = await child(
    'flock',
    ['--no-fork', '--nonblock', '--conflict-exit-code', String(HELD), ...again],
    { stdio: 'inherit' },
    forward,
  );
  if (first.missing) return (await child(process.execPath, again.slice(2), { stdio: 'inherit' }, forward)).code;
  if (first.code !== HELD) return first.code;
  say('another start is installing here; waiting for it');
  return (await child('flock', ['--no-fork', ...again], { stdio: 'inherit' }, forward)).code;
}

async function install(npm, lock, wanted) {
  checkSpace();
  const began = Date.now();
  const seconds = () => `${Math.round((Date.now() - began) / 1000)} s`;
  const [nodePath, nodeEntry] = pinnedNode(lock);
  const packages = Object.values(lock.packages).filter(isForHere).length - 1;
  say(`installing ${packages} locked packages, Node ${nodeEntry.version} among them (once; about 130 MB to fetch) ...`);
  rmSync(marker, { force: true });
  const heartbeat = setInterval(() => say(`still installing (${seconds()})`), HEARTBEAT_MS);
  const { code, interrupted, errors } = await child(
    npm.program,
    [
      ...npm.args,
      'ci',
      '--loglevel=error',
      '--no-progress',
      '--no-audit',
      '--no-fund',
      '--include=dev',
      '--include=optional',
      '--fetch-retries=2',
      '--fetch-retry-mintimeout=1000',
      '--fetch-retry-maxtimeout=5000',
    ],
    { cwd: root, env: npm.env, stdio: ['ignore', 'ignore', 'pipe'] },
    end,
  );
  clearInterval(heartbeat);
  if (interrupted) {
    say('stopped; the next start installs again');
    return INTERRUPTED;
  }
  if (code !== 0) throw new InstallProblem(explain(errors, npm));
  const absent = Object.keys(lock.packages).find((path) => isBinary(lock.packages[path]) && !existsSync(join(root, path)));
  if (absent !== undefined) {
    throw new InstallProblem(
      `npm left out ${absent.replace(/^.*node_modules\//, '')}: its download failed, or npm is set to omit optional packages`,
    );
  }
  putNode(nodePath);
  writeFileSync(`${marker}.new`, wanted);
  renameSync(`${marker}.new`, marker);
  say(`installed in ${seconds()}`);
  return 0;
}

/** Makes node_modules/.bin/node run the pinned Node, or leaves nothing there. */
function putNode(nodePath) {
  const program = join(root, nodePath, 'bin', 'node');
  // npm 9.2 takes away the link of the Node for this machine together with those of the same name for others.
  if (!existsSync(node)) symlinkSync(join('..', '..', nodePath, 'bin', 'node'), node);
  const trial = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (trial.status === 0) return;
  const complaint = oneLine(trial.stderr || `ended with ${trial.signal || trial.status}`);
  if (!lacksLibatomic(complaint)) {
    rmSync(node, { force: true });
    throw new InstallProblem(`${nodePath} does not run here: ${complaint}`);
  }
  say('fetching libatomic, which the pinned Node needs and this system lacks ...');
  if (!fetchLibatomic(join(modules, '.podserve-lib'), node, program)) {
    rmSync(node, { force: true });
    throw new InstallProblem('the pinned Node needs libatomic.so.1: install the package libatomic1 (Debian, Ubuntu) or libatomic (others)');
  }
}

/** Packages that exist once per platform: npm treats each as optional and says nothing when one is missing. */
function isBinary(entry) {
  return (entry.os !== undefined || entry.cpu !== undefined) && isForHere(entry);
}

function explain(errors, npm) {
  const code = /^npm (?:ERR!|error) code (\S+)/m.exec(errors);
  const network = NETWORK.exec(errors);
  if (/\bENOSPC\b/.test(errors)) return `the disk is full: ${root} needs ${NEEDED_MIB} MiB, and npm's cache (npm config get cache) 200`;
  if (network !== null) {
    return `the npm registry ${registry(npm)} was not reached (${network[0]}): check the network, or set registry and proxy with npm config`;
  }
  if (code !== null && code[1] === 'EUSAGE')
    return 'package.json and package-lock.json do not agree: run npm install and commit the lock file';
  const lines = errors.split('\n').filter((line) => line.trim() !== '');
  return `npm ci failed${code === null ? '' : ` (${code[1]})`}:\n${lines.slice(0, 12).join('\n')}`;
}

function registry(npm) {
  const answer = spawnSync(npm.program, [...npm.args, 'config', 'get', 'registry'], { cwd: root, env: npm.env, encoding: 'utf8' });
  return answer.status === 0 ? answer.stdout.trim() : '';
}

/** Runs a program to its end, also when we are told to stop meanwhile: then `onSignal` may hurry it. */
function child(program, args, options, onSignal) {
  return new Promise((resolve, reject) => {
    const running = spawn(program, args, options);
    let errors = '';
    let interrupted = false;
    const told = (signal) => {
      interrupted = true;
      onSignal(running, signal);
    };
    process.on('SIGINT', told).on('SIGTERM', told);
    if (running.stderr !== null) running.stderr.on('data', (data) => (errors += data));
    running.on('error', (error) => (error.code === 'ENOENT' ? resolve({ missing: true, code: 1, interrupted, errors }) : reject(error)));
    running.on('close', (code, signal) => {
      process.off('SIGINT', told).off('SIGTERM', told);
      resolve({ missing: false, code: code === null ? INTERRUPTED : code, interrupted: interrupted || signal !== null, errors });
    });
  });
}

/** Ctrl-C reaches every process of the terminal by itself. */
function forward(running, signal) {
  if (signal !== 'SIGINT') running.kill(signal);
}

/** Asked politely, npm goes on to the end of the install and then takes it all back. What is left half done is done again anyway. */
function end(running) {
  running.kill('SIGKILL');
}

function oneLine(text) {
  return text.trim().replace(/\s*\n\s*/g, ' ');
}

function say(line) {
  process.stderr.write(`PodServe: ${line}\n`);
}

async function run() {
  try {
    process.exitCode = await main();
  } catch (error) {
    say(error instanceof InstallProblem ? error.message : error.stack);
    process.exitCode = 1;
  }
}

void run();
