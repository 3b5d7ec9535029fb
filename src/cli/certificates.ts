import { PodserveError } from '../platform/errors.ts';
import { text, type Arguments, type Command, type Context } from './command.ts';

const MODES = ['init', 'renew', 'cron', 'check'] as const;
type Mode = (typeof MODES)[number];

export const command: Command = {
  summary: 'make, renew and publish the configured certificates',
  help: `usage: podserve certificates --mode init|renew|cron|check [options]
       podserve certificates revoke --name NAME [--reason REASON]

  init    makes every configured certificate exist, and exits; for one that an ACME
          server shall issue, a placeholder, so that what serves it can start
  renew   one pass over what is due; tries all, exits 1 if any failed
  cron    stays: init, then every certificate at its own time; SIGHUP reads the
          configuration again, SIGTERM stops
  check   looks at what is published, changes nothing; exits 1 if something is
          missing, corrupt or about to expire

  revoke  has the ACME server revoke what is published, and replaces it

  --name NAME    only this certificate (renew, check, revoke); may be given several times
  --reason WHY   unspecified (default), keyCompromise, affiliationChanged, superseded,
                 cessationOfOperation (revoke)
  --force        renew now, whatever the planned time, the back-off and the rate-limit
                 budget say; says what it costs (renew)
  --dry-run      say what would be done and why, change nothing (renew)
  --config FILE  default ./podserve.yaml, then /data/config/podserve.yaml, else built-in values
  --state DIR    where everything is kept, default ./data
  --json         report as JSON (init, renew, check)

examples:
  podserve certificates --mode init
  podserve certificates --mode renew --name default --force
  podserve certificates --mode renew --dry-run
  podserve certificates revoke --name default --reason keyCompromise`,
  options: {
    mode: { type: 'string' },
    name: { type: 'string', multiple: true },
    force: { type: 'boolean' },
    'dry-run': { type: 'boolean' },
    reason: { type: 'string' },
  },
  positionals: true,
  async run(args: Arguments, context: Context): Promise<number> {
    if (asksToRevoke(args)) return (await import('./certificates-revoke.ts')).revoke(args, context);
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

function asksToRevoke({ positionals, values }: Arguments): boolean {
  const [word, ...more] = positionals;
  if (word === undefined) return false;
  if (word !== 'revoke' || more.length > 0) {
    throw new PodserveError('USAGE', `podserve certificates does not know ${JSON.stringify(more[0] ?? word)}`, {
      remedy: `give --mode ${MODES.join(', ')}, or the word revoke`,
    });
  }
  const stray = ['mode', 'force', 'dry-run'].find((option) => values[option] !== undefined);
  if (stray !== undefined) throw new PodserveError('USAGE', `--${stray} does not go with revoke`, { remedy: 'leave it out' });
  return true;
}

function modeOf(args: Arguments): Mode {
  const given = text(args, 'mode');
  const mode = MODES.find((one) => one === given);
  if (mode !== undefined) return mode;
  const what = given === undefined ? 'podserve certificates needs a mode' : `there is no mode ${JSON.stringify(given)}`;
  throw new PodserveError('USAGE', what, { remedy: `give --mode ${MODES.join(', ')}` });
}

function refuseStrayOptions(mode: Mode, args: Arguments): void {
  const allowed: Record<Mode, readonly string[]> = { init: [], renew: ['name', 'force', 'dry-run'], cron: [], check: ['name'] };
  for (const option of ['name', 'force', 'dry-run', 'reason']) {
    if (args.values[option] === undefined || allowed[mode].includes(option)) continue;
    throw new PodserveError('USAGE', `--${option} does not go with --mode ${mode}`, {
      remedy: 'podserve certificates --help shows what does',
    });
  }
}
