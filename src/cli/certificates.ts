import { PodserveError } from '../platform/errors.ts';
import { text, type Arguments, type Command, type Context } from './command.ts';

const MODES = ['init', 'renew', 'cron', 'check'] as const;
type Mode = (typeof MODES)[number];

export const command: Command = {
  summary: 'make, renew and publish the configured certificates',
  help: `usage: podserve certificates --mode init|renew|cron|check [options]

  init    makes every configured certificate exist, and exits
  renew   one pass over what is due; tries all, exits 1 if any failed
  cron    stays: init, then every certificate at its own time; SIGHUP reads the
          configuration again, SIGTERM stops
  check   looks at what is published, changes nothing; exits 1 if something is
          missing, corrupt or about to expire

  --name NAME    only this certificate (renew, check); may be given several times
  --force        renew now, whatever the planned time and the back-off say (renew)
  --dry-run      say what would be done and why, change nothing (renew)
  --config FILE  default ./podserve.yaml, then /data/config/podserve.yaml, else built-in values
  --state DIR    where everything is kept, default ./data
  --json         report as JSON (init, renew, check)

examples:
  podserve certificates --mode init
  podserve certificates --mode renew --name default --force
  podserve certificates --mode check --json`,
  options: {
    mode: { type: 'string' },
    name: { type: 'string', multiple: true },
    force: { type: 'boolean' },
    'dry-run': { type: 'boolean' },
  },
  positionals: false,
  async run(args: Arguments, context: Context): Promise<number> {
    const mode = modeOf(args);
    refuseStrayOptions(mode, args);
    switch (mode) {
      case 'check':
        return (await import('./certificates-check.ts')).check(args, context);
      case 'cron':
        return (await import('./certificates-cron.ts')).cron(args, context);
      case 'init':
      case 'renew':
        return (await import('./certificates-renew.ts')).renew(mode, args, context);
    }
  },
};

function modeOf(args: Arguments): Mode {
  const given = text(args, 'mode');
  const mode = MODES.find((one) => one === given);
  if (mode !== undefined) return mode;
  const what = given === undefined ? 'podserve certificates needs a mode' : `there is no mode ${JSON.stringify(given)}`;
  throw new PodserveError('USAGE', what, { remedy: `give --mode ${MODES.join(', ')}` });
}

function refuseStrayOptions(mode: Mode, args: Arguments): void {
  const allowed: Record<Mode, readonly string[]> = { init: [], renew: ['name', 'force', 'dry-run'], cron: [], check: ['name'] };
  for (const option of ['name', 'force', 'dry-run']) {
    if (args.values[option] === undefined || allowed[mode].includes(option)) continue;
    throw new PodserveError('USAGE', `--${option} does not go with --mode ${mode}`, {
      remedy: 'podserve certificates --help shows what does',
    });
  }
}
