import type { StatePaths } from '../config/state.ts';
import type { Found, Instance } from '../services/instance.ts';
import { asTyped } from './as-typed.ts';
import { flag, type Arguments, type Command, type Context } from './command.ts';
import { pathsOf } from './settings.ts';

export const command: Command = {
  summary: 'end what runs in a state directory, pods included',
  help: `usage: podserve down [options]

Ends the podserve up or podserve certificates --mode cron of this state directory and waits until it
is gone, up to 10 seconds; stops and removes the pods that keep their data there. Nothing that is kept is
touched. Where nothing runs it says so: exit code 0.

  --state DIR    the state directory, default ./data
  --json         say it as JSON`,
  options: {},
  positionals: false,
  run,
};

const WITHIN_MS = 10_000;

async function run(args: Arguments, context: Context): Promise<number> {
  const [{ findInstance }, { presentPods }] = await Promise.all([import('../services/instance.ts'), import('../services/pods/present.ts')]);
  const paths = pathsOf(args, context);
  const { podman, here, elsewhere, trouble } = await presentPods(context, paths);
  const json = flag(args, 'json');
  const removed: string[] = [];
  if (here.length > 0) {
    const { takeDown } = await import('../services/pods/down.ts');
    await takeDown(podman, here, (pod) => {
      removed.push(pod);
      if (!json) context.out(`pod ${pod} is stopped and removed`);
    });
  }
  const found = findInstance(paths);
  const ended = found.state === 'none' ? undefined : await end(found, paths);
  if (json) {
    context.out(
      JSON.stringify({ state: paths.state, stopped: ended !== undefined || removed.length > 0, pid: ended?.pid ?? null, pods: removed }),
    );
    return 0;
  }
  if (ended !== undefined)
    context.out(`podserve ${ended.command} (process ${ended.pid}) has ended; certificates, keys and history stay in ${paths.state}`);
  else if (removed.length > 0)
    context.out(`certificates, keys and history stay in ${paths.state}; to start again: ${asTyped('up --pods', args, context)}`);
  else context.out(`nothing runs in ${paths.state}`);
  if (trouble !== undefined) context.err(`podserve: whether pods run could not be seen: ${trouble}`);
  for (const directory of removed.length > 0 || ended !== undefined ? [] : elsewhere)
    context.out(`pods run with ${directory}: podserve down --state ${directory} ends them`);
  return 0;
}

/** @throws PodserveError NOT_RUNNING, ALREADY_RUNNING */
async function end(found: Exclude<Found, { state: 'none' }>, paths: StatePaths): Promise<Instance> {
  const [{ stopInstance }, { PodserveError }] = await Promise.all([import('../services/instance.ts'), import('../platform/errors.ts')]);
  const { instance } = found;
  const { pid, command: words, host } = instance;
  if (found.state === 'elsewhere') {
    throw new PodserveError('NOT_RUNNING', `podserve ${words} cannot be ended from here`, {
      where: paths.state,
      why: `it runs on ${host}, or in a container of that name`,
      remedy: 'end it there',
    });
  }
  if (await stopInstance(paths, instance, WITHIN_MS)) return instance;
  throw new PodserveError('ALREADY_RUNNING', `podserve ${words} did not end within ${WITHIN_MS / 1000} s`, {
    where: `process ${pid}`,
    remedy: `kill -9 ${pid} ends it; what is published stays whole`,
  });
}
