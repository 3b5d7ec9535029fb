import { resolve } from 'node:path';

import { PodserveError } from '../platform/errors.ts';
import { restore } from '../services/backup/restore.ts';
import { publisherOf } from '../services/certificates/open.ts';
import { flag, text, type Arguments, type Command, type Context } from './command.ts';
import { pathsOf } from './settings.ts';

export const command: Command = {
  summary: 'put the contents of a backup in place',
  help: `usage: podserve restore FILE [--force] [--json]

Unpacks FILE beside the state directory, proves it, and only then puts it in place. The state directory must be empty
or absent, and nothing may be running on it. podserve.yaml is written where none is.

  --force        move the present authority, certificates and mail to DIR.before-restore-TIME, and a present, other
                 podserve.yaml likewise; nothing is removed
  --config FILE  where the configuration goes (default: ./podserve.yaml)
  --state DIR    the state directory (default: ./data)
  --json         print the result as JSON

Exit codes: 0 done, 1 it failed and nothing was changed, 2 wrong usage.

  podserve restore /mnt/backup/podserve-2026-11-23.tar.gz`,
  options: { force: { type: 'boolean' } },
  positionals: true,
  run,
};

async function run(args: Arguments, context: Context): Promise<number> {
  const [file, ...more] = args.positionals;
  if (file === undefined || more.length > 0) {
    throw new PodserveError('USAGE', 'it was not understood what to restore', { remedy: 'write podserve restore FILE' });
  }
  const report = await restore({
    file: resolve(context.cwd, file),
    paths: pathsOf(args, context),
    configFile: resolve(context.cwd, text(args, 'config') ?? 'podserve.yaml'),
    publisher: publisherOf('restore', context.env),
    now: context.clock.now(),
    force: flag(args, 'force'),
    signal: context.signal,
  });
  if (flag(args, 'json')) {
    context.out(JSON.stringify(report, null, 2));
    return 0;
  }
  const { from, certificates } = report;
  context.out(`${report.state}: restored from the backup of ${from.createdAt} on ${from.host} (podserve ${from.podserve})`);
  context.out(`  certificates   ${certificates.length}`);
  context.out(`  configuration  ${report.configuration ?? 'not written'}`);
  if (report.aside !== undefined) context.out(`  what was there ${report.aside}`);
  for (const warning of report.warnings) context.err(`podserve restore: ${warning}`);
  context.out('podserve certificates --mode check tells how they stand');
  return 0;
}
