import { flag, type Arguments, type Command, type Context } from './command.ts';

const ONLY_PODS = ['with-mail', 'without-consumer', 'timeout', 'network', 'deploy'] as const;

export const command: Command = {
  summary: 'run the certificate service and the status page here, until Ctrl-C; with --pods the pods',
  help: `usage: podserve up [options]

Runs in this process, with nothing but Node: the certificate service (makes, renews and publishes
the configured certificates) and a status page in HTTPS, served with the published certificate.
Says what is now true, then one line at each renewal. Ctrl-C or podserve down ends it; SIGHUP reads
the configuration again. All that must stay is in the state directory.

  --config FILE  default ./podserve.yaml, then /data/config/podserve.yaml, else built-in values
  --state DIR    where everything is kept, default ./data

The page is at https://localhost:8443 (admin.listen in the configuration). The log is
DIR/logs/podserve.log, at most 4 MiB with its predecessor; podserve logs shows it.

  --pods         instead: build what images are missing, and bring up the pods of deploy/ with podman, in boot
                 order: certificates, web, mail where --with-mail says so, and a consumer that only looks. Each is waited for until it is ready.
                 What runs already and is unchanged is left alone. The pods stay when this has ended; they keep
                 all in DIR, and read DIR/config/podserve.yaml (--config FILE puts FILE there)
  --with-mail, --without-consumer, --timeout TIME (for each pod to be ready, default 60s), --json
  --network NET  of podman, for one with IPv6, or slirp4netns for a user without a login session
  --deploy DIR   other files than those of deploy/ in the repository, by the same names

examples:
  podserve up
  podserve up --pods
  podserve up --state /srv/podserve`,
  options: {
    pods: { type: 'boolean' },
    'with-mail': { type: 'boolean' },
    'without-consumer': { type: 'boolean' },
    timeout: { type: 'string' },
    network: { type: 'string' },
    deploy: { type: 'string' },
  },
  positionals: false,
  async run(args: Arguments, context: Context): Promise<number> {
    if (flag(args, 'pods')) return (await import('./up-pods.ts')).upPods(args, context);
    const [option] = ONLY_PODS.filter((name) => args.values[name] !== undefined);
    if (option !== undefined) {
      const { PodserveError } = await import('../platform/errors.ts');
      throw new PodserveError('USAGE', `--${option} is for pods`, { remedy: 'give --pods too' });
    }
    return (await import('./up-run.ts')).up(args, context);
  },
};
