import type { Arguments, Command, Context } from './command.ts';

export const command: Command = {
  summary: 'run the certificate service and the status page here, until Ctrl-C',
  help: `usage: podserve up [options]

Runs in this process, with nothing but Node: the certificate service (makes, renews and publishes
the configured certificates) and a status page in HTTPS, served with the published certificate.
Says what is now true, then one line at each renewal. Ctrl-C or podserve down ends it; SIGHUP reads
the configuration again. All that must stay is in the state directory.

  --config FILE  default ./podserve.yaml, then /data/config/podserve.yaml, else built-in values
  --state DIR    where everything is kept, default ./data

The page is at https://localhost:8443 (admin.listen in the configuration). The log is
DIR/logs/podserve.log, at most 4 MiB with its predecessor; podserve logs shows it.

examples:
  podserve up
  podserve up --state /srv/podserve`,
  options: {},
  positionals: false,
  async run(args: Arguments, context: Context): Promise<number> {
    return (await import('./up-run.ts')).up(args, context);
  },
};
