import { resolve } from 'node:path';

import { PodserveError } from '../platform/errors.ts';
import { backup } from '../services/backup/backup.ts';
import { publisherOf } from '../services/certificates/open.ts';
import { flag, text, type Arguments, type Command, type Context } from './command.ts';
import { pathsOf } from './settings.ts';

export const command: Command = {
  summary: 'put authority, certificates, mail and configuration into one archive',
  help: `usage: podserve backup FILE [--force] [--json]

Writes one .tar.gz with the authority (the key of the built-in CA, ACME accounts and orders, the ledger), every published
certificate with its key, mail (accounts, mailboxes, keys of DKIM; not the queue), and podserve.yaml, as they are at one
moment; services may go on meanwhile. FILE holds private keys: it is
readable by its owner alone, and should be kept as safe as the keys. Files that podserve.yaml names are not in it:
those that ACME servers need are listed.

  --force        replace FILE if it exists
  --config FILE  the configuration (default: ./podserve.yaml, then /data/config/podserve.yaml)
  --state DIR    the state directory (default: ./data)
  --json         print the result as JSON

Exit codes: 0 done, 1 it failed and FILE is as it was, 2 wrong usage.

  podserve backup /mnt/backup/podserve-$(date +%F).tar.gz`,
  options: { force: { type: 'boolean' } },
  positionals: true,
  run,
};

async function run(args: Arguments, context: Context): Promise<number> {
  const [file, ...more] = args.positionals;
  if (file === undefined || more.length > 0) {
    throw new PodserveError('USAGE', 'it was not understood where to write the backup', { remedy: 'write podserve backup FILE' });
  }
  const report = await backup({
    file: resolve(context.cwd, file),
    paths: pathsOf(args, context),
    configFile: text(args, 'config'),
    cwd: context.cwd,
    env: context.env,
    publisher: publisherOf('backup', context.env),
    now: context.clock.now(),
    force: flag(args, 'force'),
    signal: context.signal,
  });
  if (flag(args, 'json')) {
    context.out(JSON.stringify(report, null, 2));
    return 0;
  }
  const count = report.certificates.length;
  context.out(`${report.file}: ${(report.bytes / 1024).toFixed(0)} KiB`);
  context.out(
    `  certificates   ${count === 0 ? 'none' : `${count}: ${report.certificates.slice(0, 10).join(', ')}${count > 10 ? ', …' : ''}`}`,
  );
  context.out(`  authority      ${report.authority ? 'in it' : 'none'}`);
  context.out(`  mail           ${report.mail ? 'accounts, mailboxes and keys of DKIM' : 'none'}`);
  context.out(`  configuration  ${report.configuration ?? 'none: everything is default'}`);
  for (const warning of report.warnings) context.err(`podserve backup: ${warning}`);
  context.err('podserve backup: it holds private keys: keep it as safe as the keys themselves');
  return 0;
}
