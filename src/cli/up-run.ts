import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

import type { Config, LogConfig } from '../config/config.ts';
import type { StatePaths } from '../config/state.ts';
import { SECOND, type Clock } from '../platform/clock.ts';
import { PodserveError, messageOf } from '../platform/errors.ts';
import { openLogFile, type LogFile } from '../platform/log-file.ts';
import { lineFormatter, openLog, printingSink, type LineSink } from '../platform/open-log.ts';
import { startAdmin, type Admin } from '../services/admin/admin.ts';
import { startResident, type Resident } from '../services/certificates/resident.ts';
import { serviceStatus } from '../services/certificates/status.ts';
import { claimInstance } from '../services/instance.ts';
import { withConsumer } from '../services/own-consumers.ts';
import { currentLink } from '../publication/layout.ts';
import { version } from '../platform/version.ts';
import { asTyped } from './as-typed.ts';
import type { Arguments, Context } from './command.ts';
import { configLoader, stopped } from './resident.ts';
import { pathsOf } from './settings.ts';
import { renewalLines, welcome } from './up-words.ts';

/** How long the page may take to show its certificate before `up` says what hinders it. */
const PAGE_DEADLINE = 5 * SECOND;
const LOOK_EVERY = 5;

/** `podserve up` */
export async function up(args: Arguments, context: Context): Promise<number> {
  const { clock, env } = context;
  const closed = new AbortController();
  const signal = AbortSignal.any([context.signal, closed.signal]);
  const onReload = (ask: () => void): (() => void) =>
    context.onHangup(() => (context.interactive && !hasTerminal() ? closed.abort('the terminal was closed') : ask()));
  const read = configLoader(args, context);
  const load = async (): Promise<Config> => withPage(await read());
  let config = await load();
  const paths = pathsOf(args, context);
  using instance = claimInstance(paths, 'up', clock.now());
  using file = openLogs(paths);
  const log = await openLog(config.log.level, [(line) => file.write(line), ...(await terminalSinks(config.log.format, context))]);
  for (const warning of config.warnings) log.warn({}, warning);
  const talks = config.log.format !== 'json';
  const say = (line: string): void => (talks ? context.out(line) : undefined);
  const seen = new Map<string, number>();
  let ready = false;
  let failure: unknown;

  // The page's port first: nothing is issued or said when it is taken.
  await using admin = await startAdmin({
    config: () => config,
    paths,
    clock,
    log,
    runtimeDirectories: runtimeDirectories(paths, env),
    status: (limit) => statusNow(limit),
    about: { version: version(), host: hostname(), startedAt: clock.now(), trustCommand: asTyped('ca trust', args, context) },
  });
  await using resident = await startResident({
    command: 'up',
    config,
    paths,
    env,
    clock,
    log,
    load,
    onReload,
    onPass(report) {
      for (const line of renewalLines(report, seen, clock.now())) if (ready) say(line);
      failure = report.results.find(({ spec }) => spec.name === config.admin.certificate)?.error;
      admin.changed();
    },
    onReloaded(next) {
      config = next;
      admin.reconfigured();
    },
  });
  const statusNow = async (limit: number): ReturnType<typeof serviceStatus> => {
    const { state } = resident;
    const { service } = state;
    return serviceStatus({ config: service.config, paths, ledger: service.ledger, trouble: state.trouble }, { now: clock.now(), limit });
  };

  const published = (): boolean => currentLink(paths.certificates, config.admin.certificate) !== undefined;
  await firstPass(resident, published, () => failure);
  await pageServed(admin, clock, signal);
  instance.describe({ page: admin.url, statusPorts: { certificates: resident.statusUrl, admin: admin.statusUrl } });
  if (!signal.aborted) {
    const typed = (words: string): string => asTyped(words, args, context);
    const lines = welcome({
      status: await statusNow(6),
      page: admin.url,
      hinder: admin.hinder(),
      log: file.path,
      paths,
      typed,
      cwd: context.cwd,
    });
    for (const line of lines) say(line);
    log.info({ page: admin.url, publication: paths.certificates, certificates: config.certificates.length }, 'podserve is up');
    ready = true;
  }
  await stopped(signal);
  log.info({ signal: String(signal.reason) }, 'stopping');
  const again = env['npm_lifecycle_event'] === 'start' ? 'npm start' : asTyped('up', args, context);
  say(`\nStopped. Certificates, keys and history stay in ${paths.state}; to start again: ${again}`);
  return 0;
}

/** The page is a consumer of its certificate: the service asks it too what it serves. */
function withPage(config: Config): Config {
  return withConsumer(config, 'admin', [config.admin.certificate]);
}

/** Nothing was ever published and nothing can be: then there is nothing to stay for. Else what is there is served. */
async function firstPass(resident: Resident, published: () => boolean, failure: () => unknown): Promise<void> {
  try {
    await resident.first;
  } catch (error) {
    if (published()) return;
    throw error;
  }
  if (failure() !== undefined && !published()) throw failure();
}

async function pageServed(admin: Admin, clock: Clock, signal: AbortSignal): Promise<void> {
  admin.reconfigured();
  for (const deadline = performance.now() + PAGE_DEADLINE; performance.now() < deadline && !signal.aborted;) {
    if (admin.hinder() === undefined) return;
    await clock.sleep(LOOK_EVERY, signal);
  }
}

/** The kernel sends SIGHUP for a closed terminal too, which is no wish to read the configuration. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

function openLogs(paths: StatePaths): LogFile {
  const directory = join(paths.state, 'logs');
  try {
    return openLogFile(directory);
  } catch (cause) {
    throw new PodserveError('STATE_UNWRITABLE', 'the log cannot be written', {
      where: directory,
      why: messageOf(cause),
      remedy: 'make it writable for this user, or choose another state directory with --state DIR',
      cause,
    });
  }
}

/** People at a terminal get lines of their own; of the log they see only what went wrong. */
async function terminalSinks(format: LogConfig['format'], { interactive, ...context }: Context): Promise<LineSink[]> {
  const err = (line: string): void => context.err(line);
  if (format !== 'auto') return [await printingSink(format, interactive, err)];
  let formatter: ReturnType<typeof lineFormatter> | undefined;
  const show = async (line: string): Promise<void> => {
    formatter ??= lineFormatter(interactive);
    err((await formatter)(line));
  };
  return [(line) => (/^\{"level":"(?:warn|error)"/.test(line) ? void show(line) : undefined)];
}

/** In memory where this user has a place there; the state directory otherwise. One for each state directory. */
function runtimeDirectories({ state }: StatePaths, env: Context['env']): string[] {
  const name = `admin-${createHash('sha256').update(state).digest('hex').slice(0, 12)}`;
  const own = env['XDG_RUNTIME_DIR'];
  return [
    ...(own === undefined || own === '' ? [] : [join(own, 'podserve', name)]),
    ...(process.geteuid?.() === 0 ? [join('/run/podserve', name)] : []),
    join(state, 'admin', 'run'),
  ];
}
