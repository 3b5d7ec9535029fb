import type { StatePaths } from '../config/state.ts';
import { describeError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { openLog, printingSink } from '../platform/open-log.ts';
import { startResident } from '../services/certificates/resident.ts';
import { claimInstance, type ClaimedInstance } from '../services/instance.ts';
import type { Arguments, Context } from './command.ts';
import { configLoader, stopped } from './resident.ts';
import { pathsOf } from './settings.ts';

const COMMAND = 'certificates --mode cron';

/** `podserve certificates --mode cron` */
export async function cron(args: Arguments, context: Context): Promise<number> {
  const { clock, env, signal } = context;
  const load = configLoader(args, context);
  const config = await load();
  const paths = pathsOf(args, context);
  const log = await openLog(config.log.level, [await printingSink(config.log.format, context.interactive, (line) => context.err(line))]);
  for (const warning of config.warnings) log.warn({}, warning);
  using instance = claim(paths, clock.now(), log);
  await using resident = await startResident({
    command: COMMAND,
    config,
    paths,
    env,
    clock,
    log,
    load,
    onReload: (ask) => context.onHangup(ask),
  });
  instance?.describe({ statusPorts: { certificates: resident.statusUrl } });
  log.info(
    { publication: paths.certificates, certificates: config.certificates.length, status: resident.statusUrl },
    'the certificate service runs',
  );
  await stopped(signal);
  log.info({ signal: String(signal.reason) }, 'stopping');
  return 0;
}

/**
 * Several may work on one publication, each takes its lock to publish; so a state directory that is claimed already,
 * or that takes no claim, is worth a warning and no more.
 */
function claim(paths: StatePaths, now: number, log: Log): ClaimedInstance | undefined {
  try {
    return claimInstance(paths, COMMAND, now);
  } catch (error) {
    log.warn({}, `podserve status and down will not see this process: ${describeError(error)}`);
    return undefined;
  }
}
