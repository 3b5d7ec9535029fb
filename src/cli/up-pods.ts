import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';

import { configFileOf, placeConfig, tellConfig } from '../services/pods/configuration.ts';
import { loadConfig } from '../config/load.ts';
import type { StatePaths } from '../config/state.ts';
import { parseDuration } from '../platform/duration.ts';
import { PodserveError, errorLines } from '../platform/errors.ts';
import { makeDirectories } from '../platform/files.ts';
import { findInstance } from '../services/instance.ts';
import { bootPods, type BootReport } from '../services/pods/boot.ts';
import { BOOT_ORDER, renderFiles } from '../services/pods/files.ts';
import { IMAGES, imageName } from '../services/pods/image-names.ts';
import { podHost } from '../services/pods/host.ts';
import { ownUsers } from '../services/pods/judge-host.ts';
import { openPodman, type Podman } from '../services/pods/podman.ts';
import { listPods, podsOf, type Pod } from '../services/pods/pods.ts';
import { asTyped } from './as-typed.ts';
import { flag, text, type Arguments, type Context } from './command.ts';
import { pathsOf } from './settings.ts';
import { podsWelcome } from './up-pods-words.ts';

const DEFAULT_TIMEOUT = '60s';
/** `certificates` is the longest. */
const SUBJECT_WIDTH = 'certificates'.length;

/** `podserve up --pods` */
export async function upPods(args: Arguments, context: Context): Promise<number> {
  const { clock, env, signal } = context;
  const timeoutMs = readTimeout(text(args, 'timeout') ?? DEFAULT_TIMEOUT);
  const paths = pathsOf(args, context);
  const json = flag(args, 'json');
  const say = (subject: string, what: string): void => {
    const line = `${subject.padEnd(SUBJECT_WIDTH)}  ${what}`;
    if (json) context.err(line);
    else context.out(line);
  };
  const podman = openPodman({ env, clock });
  refuseProcess(paths);
  refuseOwnUsers(env);
  await takeConfig(args, context, paths, say);
  const wanted = BOOT_ORDER.filter((name) =>
    name === 'mail' ? flag(args, 'with-mail') : name !== 'consumer' || !flag(args, 'without-consumer'),
  );
  const files = await renderFiles(deployDirectory(args, context), paths.state, wanted);
  makeDirectories(paths.authority, 0o700);
  const report = await bootPods({
    podman,
    files,
    paths,
    clock,
    signal,
    network: text(args, 'network'),
    timeoutMs,
    say,
    build: async (missing) => {
      const { buildImages } = await import('../services/pods/images.ts');
      const kinds = IMAGES.filter((kind) => kind !== 'mail' || missing.includes(imageName(kind)));
      await buildImages({ podman, env, clock, signal, kinds, say: (line) => say('images', line) });
    },
  });
  const pods = podsOf(await listPods(podman), paths.state);
  const typed = (words: string): string => asTyped(words, args, context);
  if (report.stopped) return stopped(pods, context, typed);
  const told = await retell(podman, pods, report, paths, say);
  const well = told && report.pods.every(({ ready }) => ready);
  if (json) context.out(JSON.stringify({ ok: well, data: paths.state, pods: report.pods }, null, 2));
  else for (const line of await podsWelcome({ report, pods, paths, typed, now: clock.now() })) context.out(line);
  return well ? 0 : 1;
}

/** Two certificate services on one directory would be one too many, and it is better said here than in a pod's log. */
function refuseProcess(paths: StatePaths): void {
  const found = findInstance(paths);
  if (found.state !== 'running') return;
  throw new PodserveError('ALREADY_RUNNING', 'podserve runs here already, without pods', {
    where: paths.state,
    why: `podserve ${found.instance.command} is process ${found.instance.pid}`,
    remedy: 'podserve down ends it; --state DIR keeps the pods apart',
  });
}

/** Podman would play them, and each pod would find the files of the others a stranger's. */
function refuseOwnUsers(env: Context['env']): void {
  const own = ownUsers(podHost(env), env);
  if (own !== undefined)
    throw new PodserveError('PODMAN_FAILED', 'the pods could not share their data', {
      why: own.what,
      ...(own.remedy === undefined ? {} : { remedy: own.remedy }),
    });
}

/** The pods read the configuration of their data directory: the file that `up` alone would read is put there. */
async function takeConfig(
  args: Arguments,
  context: Context,
  paths: StatePaths,
  say: (subject: string, what: string) => void,
): Promise<void> {
  const given = text(args, 'config');
  const source = resolve(context.cwd, given ?? 'podserve.yaml');
  const target = configFileOf(paths.state);
  if (source === target || (given === undefined && !existsSync(source))) return;
  await loadConfig({ file: source, env: {}, cwd: context.cwd });
  const placed = await placeConfig(source, paths.state, given !== undefined);
  if (placed === 'placed') say('settings', `${source} is now ${target}, which the pods read`);
  if (placed === 'differs') {
    say(
      'settings',
      `ATTENTION: the pods read ${target}, and ${source} is another: ${asTyped('up --pods --config', args, context)} ${source} puts it there`,
    );
  }
}

/** The files of deploy/ lie in the checkout, beside src/. */
function deployDirectory(args: Arguments, context: Context): string {
  const given = text(args, 'deploy');
  if (given !== undefined) return isAbsolute(given) ? given : join(context.cwd, given);
  return resolve(process.argv[1] ?? '', '../../deploy');
}

async function retell(
  podman: Podman,
  pods: readonly Pod[],
  report: BootReport,
  paths: StatePaths,
  say: (subject: string, what: string) => void,
): Promise<boolean> {
  const fresh = new Set(report.pods.filter(({ outcome }) => outcome !== 'unchanged').map(({ name }) => name));
  try {
    for (const name of await tellConfig(podman, pods, paths.state, fresh)) say(name, `reads ${configFileOf(paths.state)} again`);
    return true;
  } catch (error) {
    if (!(error instanceof PodserveError) || error.code !== 'CONFIG_INVALID') throw error;
    say('settings', `ATTENTION: ${errorLines(error).join(' ')}`);
    return false;
  }
}

function stopped(pods: readonly Pod[], context: Context, typed: (words: string) => string): number {
  const running = pods.map(({ name, state }) => `${name} (${state.toLowerCase()})`).join(', ');
  context.err(`Stopped before all was up. ${running === '' ? 'No pod runs' : `These were left: ${running}`}.`);
  context.err(`${typed('up --pods')} goes on from here${running === '' ? '' : `, ${typed('down')} ends them`}.`);
  return 1;
}

function readTimeout(given: string): number {
  const ms = parseDuration(given);
  if (ms !== undefined) return ms;
  throw new PodserveError('USAGE', `${JSON.stringify(given)} is no length of time`, {
    where: '--timeout',
    remedy: 'give one like 60s',
  });
}
