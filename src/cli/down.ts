import type { Arguments, Command, Context } from './command.ts';
import { pathsOf } from './settings.ts';

export const command: Command = {
  summary: 'end what runs in a state directory',
  help: `usage: podserve down [options]

Ends the podserve up or podserve certificates --mode cron of this state directory and waits until it
is gone, up to 10 seconds. Nothing that is kept is touched. Where nothing runs it says so: exit code 0.

  --state DIR    the state directory, default ./data
  --json         say it as JSON`,
  options: {},
  positionals: false,
  run,
};

const WITHIN_MS = 10_000;

async function run(args: Arguments, context: Context): Promise<number> {
  const { findInstance, stopInstance } = await import('../services/instance.ts');
  const paths = pathsOf(args, context);
  const found = findInstance(paths);
  const json = args.values['json'] === true;
  const say = (stopped: boolean, pid: number | null, line: string): void =>
    context.out(json ? JSON.stringify({ state: paths.state, stopped, pid }) : line);
  if (found.state === 'none') {
    say(false, null, `nothing runs in ${paths.state}`);
    return 0;
  }
  const { PodserveError } = await import('../platform/errors.ts');
  const { instance } = found;
  const { pid, command: words, host } = instance;
  if (found.state === 'elsewhere') {
    throw new PodserveError('NOT_RUNNING', `podserve ${words} cannot be ended from here`, {
      where: paths.state,
      why: `it runs on ${host}, or in a container of that name`,
      remedy: 'end it there',
    });
  }
  if (!(await stopInstance(paths, instance, WITHIN_MS))) {
    throw new PodserveError('ALREADY_RUNNING', `podserve ${words} did not end within ${WITHIN_MS / 1000} s`, {
      where: `process ${pid}`,
      remedy: `kill -9 ${pid} ends it; what is published stays whole`,
    });
  }
  say(true, pid, `podserve ${words} (process ${pid}) has ended; certificates, keys and history stay in ${paths.state}`);
  return 0;
}
