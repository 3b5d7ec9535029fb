/**
 * The checks of the repository: `npm test`.
 *
 *   npm test                          everything
 *   npm run test:pods                 the shipped pods alone, in Podman
 *   npm test -- --only unit,peer      some of static, unit, browser, peer and pods alone
 *   npm test -- apache probe          only test files whose path contains one of the words
 *   npm run test:soak                 full counts instead of a tenth
 *
 * The last line is `N passed, N failed`. What did not run has failed.
 */
import { chmodSync, copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { MINUTE, SECOND } from '../src/platform/clock.ts';
import { notedSecrets } from '../test/support/artifacts.ts';
import { scanForSecrets } from '../test/support/key-scan.ts';
import { end, leftovers } from './test/leftovers.ts';
import { reachableCheckout } from './test/reachable.ts';
import { buildImages, preparePodman, removeEverything, type PodmanPlace } from './test/podman.ts';
import { installCommand, installPackages, missingPackages } from './test/packages.ts';
import { runTests, type Tally } from './test/run.ts';
import { STATIC_STEPS, runStep } from './test/steps.ts';

const KINDS = ['static', 'unit', 'browser', 'peer', 'pods'] as const;
const TITLES = {
  unit: 'Unit tests',
  browser: 'Tests in a browser',
  peer: 'Tests against real peers',
  pods: 'Tests of the shipped pods in Podman',
} as const;
type TestKind = keyof typeof TITLES;
const ENDING_MS = 2 * SECOND;
const LOGS = 'node_modules/.cache/test';
/** Of the tests' own Podman. */
const PODMAN = 'node_modules/.cache/podman';

process.chdir(join(import.meta.dirname, '..'));
const { values, positionals } = parseArgs({
  options: { only: { type: 'string' }, soak: { type: 'boolean' }, verbose: { type: 'boolean', short: 'v' } },
  allowPositionals: true,
});
const soak = values.soak === true;
const only = values.only?.split(',');
const seed = process.env['PODSERVE_SEED'] ?? String(Math.floor(Math.random() * 2 ** 31));
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());

const began = Date.now();
let passed = 0;
let failed = 0;
let executed = 0;
const failures: string[] = [];
/** Sessions of the test processes, to find what they leave. */
const sessions: (number | undefined)[] = [];

type Say = (line: string) => void;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Keeps lines until what they would fall in the middle of has been said. */
function sayLater(): { readonly say: Say; now(): void } {
  let kept: string[] | undefined = [];
  return {
    say: (line) => void (kept === undefined ? say(line) : kept.push(line)),
    now() {
      kept?.forEach(say);
      kept = undefined;
    },
  };
}

function wanted(kind: (typeof KINDS)[number]): boolean {
  if (stop.signal.aborted) return false;
  if (only !== undefined) return only.includes(kind);
  return kind !== 'static' || positionals.length === 0;
}

function since(start: number): string {
  return `${((Date.now() - start) / SECOND).toFixed(1).padStart(7)} s`;
}

/** Reports one claim that is no test of node:test. */
function judge(claim: string, start: number, complaint: string, tell = say): void {
  if (complaint === '') passed += 1;
  else {
    failed += 1;
    failures.push(claim);
  }
  tell(`  ${complaint === '' ? 'ok    ' : 'FAILED'}  ${claim.padEnd(69)} ${since(start)}`);
  if (complaint !== '') tell(complaint.trimEnd().replaceAll(/^/gm, '          '));
}

async function checkStatically(): Promise<void> {
  say('Static checks');
  for (const step of STATIC_STEPS) {
    const start = Date.now();
    const { ok, output } = await runStep(step, stop.signal);
    judge(step.claim, start, ok ? '' : output || 'it failed without a word');
  }
}

function checkPackages(): void {
  const start = Date.now();
  let missing = missingPackages(wanted('pods'));
  if (missing.length > 0) missing = installPackages(missing, (line) => say(`  ${line}`));
  judge(
    'the programs that the tests run against are installed',
    start,
    missing.length === 0 ? '' : `missing; run: ${installCommand(missing)}`,
  );
}

function testFiles(kind: TestKind): string[] {
  return globSync(`test/${kind}/**/*.test.ts`)
    .filter((file) => positionals.length === 0 || positionals.some((word) => file.includes(word)))
    .toSorted();
}

interface Place {
  /** For all that the tests make. */
  readonly directory: string;
  /** By a path that every user may walk. */
  readonly checkout: string;
}

async function runKind(kind: TestKind, place: Place, tell = say): Promise<void> {
  const files = wanted(kind) ? testFiles(kind) : [];
  if (files.length === 0) return;
  tell(`${TITLES[kind]}${soak && kind !== 'unit' ? ', full counts' : ''}`);
  if (kind !== 'pods') return runFiles(kind, files, place, tell);
  const podman = preparePodman(resolve(PODMAN));
  if (!(await podmanWorks(podman, place.checkout, tell))) return;
  await runFiles(kind, files, place, tell);
  const start = Date.now();
  judge('no pod, container or network of the tests is left', start, removeEverything(podman.env).join('\n'), tell);
}

/** They mostly wait, and for different things: together they take no longer than the longer one. */
async function runPeersAndPods(place: Place): Promise<void> {
  const pods = sayLater();
  const peers = runKind('browser', place)
    .then(() => runKind('peer', place))
    .finally(() => pods.now());
  await Promise.all([peers, runKind('pods', place, pods.say)]);
}

/** Whether the tests can play pods: Podman works, and has the images, which are built once for all of them. */
async function podmanWorks({ env, trouble }: PodmanPlace, checkout: string, tell: Say): Promise<boolean> {
  const start = Date.now();
  const hint = 'no pod was tested; npm run test:unit checks what needs neither Podman nor daemons';
  judge('Podman works here', start, trouble === undefined ? '' : `${trouble}\n${hint}`, tell);
  if (trouble !== undefined) return false;
  removeEverything(env);
  const built = Date.now();
  const complaint = await buildImages({ env, checkout, signal: stop.signal });
  judge('the images are built', built, complaint === '' ? '' : `${complaint}\n${hint}`, tell);
  return complaint === '';
}

async function runFiles(kind: TestKind, files: readonly string[], { directory, checkout }: Place, tell: Say): Promise<void> {
  const tally: Tally = await runTests({
    files,
    concurrency: kind === 'unit' ? 2 : 1,
    timeoutMs: soak ? 10 * MINUTE : 4 * MINUTE,
    logFile: join(LOGS, `${kind}.log`),
    checkout,
    env: testEnvironment(directory, checkout),
    // A browser drops what it loads when a network interface comes or goes, and the tests of pods make them.
    ownNetwork: kind === 'browser',
    verbose: kind !== 'unit' || values.verbose === true,
    signal: stop.signal,
    say: tell,
    onStart: (session) => sessions.push(session),
  });
  passed += tally.passed;
  failed += tally.failed;
  failures.push(...tally.failures);
  executed += tally.passed + tally.failed;
}

function testEnvironment(directory: string, checkout: string): Record<string, string | undefined> {
  const recorder = pathToFileURL(join(checkout, 'test/support/record-keys.mjs')).href;
  return {
    ...process.env,
    TMPDIR: directory,
    NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import=${recorder}`.trim(),
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(checkout, 'node_modules/.cache/compile'),
    PODSERVE_TEST_ARTIFACTS: join(directory, '.artifacts'),
    PODSERVE_SEED: seed,
    PODSERVE_SOAK: soak ? '1' : '0',
    PODSERVE_TEST_PODMAN: resolve(PODMAN),
  };
}

/** Short, because socket paths end at 107 characters; passable, because daemons change their user. */
function makeRunDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ps'));
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, '.artifacts'), { mode: 0o700 });
  for (const part of ['keys', 'outputs', 'files']) mkdirSync(join(directory, '.artifacts', part), { mode: 0o700 });
  return directory;
}

async function checkLeftovers(directory: string): Promise<void> {
  const start = Date.now();
  const still = (): ReturnType<typeof leftovers> => sessions.flatMap((session) => leftovers(session, directory));
  // What is in the middle of ending is no leftover.
  while (still().length > 0 && Date.now() - start < ENDING_MS) await sleep(50);
  const found = still();
  await end(found, still);
  judge('nothing that the tests started is left', start, found.map(({ pid, command }) => `${pid} ${command.slice(0, 150)}`).join('\n'));
}

function checkSecrets(directory: string): void {
  const start = Date.now();
  const artifacts = join(directory, '.artifacts');
  const secrets = notedSecrets(artifacts);
  const scans = ['outputs', 'files'].map((part) => scanForSecrets(join(artifacts, part), secrets));
  const findings = scans
    .flatMap((scan) => scan.findings)
    .map(({ file, encoding }) => {
      copyFileSync(file, join(LOGS, basename(file)));
      return `${join(LOGS, basename(file))}: a private key, ${encoding}`;
    });
  const [files, mebibytes] = [scans.reduce((sum, scan) => sum + scan.files, 0), scans.reduce((sum, scan) => sum + scan.bytes, 0) / 2 ** 20];
  const looked = `${secrets.length} private numbers in ${files} files (${mebibytes.toFixed(0)} MiB)`;
  judge('no generated key appears in any output, event, ledger or dump', start, findings.join('\n'));
  say(`          looked for ${looked}`);
}

/** Takes the directory away, with the file systems that a test ended in the middle may have left mounted in it. */
function removeRunDirectory(directory: string): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mount) => mount.startsWith(`${directory}/`));
  for (const mount of mounts.toReversed()) spawnSync('umount', ['--lazy', mount]);
  rmSync(directory, { recursive: true, force: true });
}

async function runTestKinds(): Promise<void> {
  if (wanted('browser') || wanted('peer') || wanted('pods')) checkPackages();
  mkdirSync(LOGS, { recursive: true });
  using checkout = reachableCheckout(process.cwd());
  const directory = makeRunDirectory();
  try {
    const place = { directory, checkout: checkout.path };
    await runKind('unit', place);
    await runPeersAndPods(place);
    say('After the tests');
    await checkLeftovers(directory);
    if (!stop.signal.aborted) checkSecrets(directory);
  } finally {
    removeRunDirectory(directory);
  }
  if (executed === 0) judge('at least one test was executed', Date.now(), 'there was none');
}

if (only !== undefined && !only.every((word) => KINDS.some((kind) => kind === word))) {
  say(`--only takes ${KINDS.join(', ')}`);
  process.exit(2);
}
say(`PODSERVE_SEED=${seed}${soak ? ', full counts' : ', a tenth of the counts (npm run test:soak has them all)'}`);
if (wanted('static')) await checkStatically();
if (KINDS.some((kind) => kind !== 'static' && wanted(kind))) await runTestKinds();
if (stop.signal.aborted) {
  failed += 1;
  say('stopped before the end');
}
if (failures.length > 0) say(`Failed:\n${failures.map((failure) => `  ${failure}`).join('\n')}`);
say(`${since(began).trim()} in all; the full reports are in ${LOGS}`);
say(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
