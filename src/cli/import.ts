import { resolve } from 'node:path';

import { loadConfig } from '../config/load.ts';
import { PodserveError } from '../platform/errors.ts';
import { publisherOf } from '../services/certificates/open.ts';
import type { ImportedAccount } from '../services/import/accounts.ts';
import { importCertbot, type Imported } from '../services/import/import.ts';
import { flag, type Arguments, type Command, type Context } from './command.ts';
import { pathsOf, sourceOf } from './settings.ts';

export const command: Command = {
  summary: 'take over the certificates and accounts of an existing certbot',
  help: `usage: podserve import certbot DIR [--dry-run] [--force] [--json]

Publishes every lineage of DIR (such as /etc/letsencrypt) and changes nothing in DIR. A lineage that covers all names
of a configured certificate becomes that certificate; any other gets a name made from its own, and what podserve.yaml
needs is printed, with the CA that certbot renews it with: without that nobody renews it. Doing it again does nothing.
Its ACME accounts become those of the issuers with the same directory URL, where they have none yet; of several
accounts the one that most lineages are renewed with.

  --dry-run    say what would be done
  --force      replace what is published even where it lives longer
  --state DIR  the state directory (default: ./data)
  --json       print the result as JSON

Exit codes: 0 done, 1 a lineage or account is broken or could not be taken, 2 wrong usage or configuration.

  podserve import certbot /etc/letsencrypt --dry-run`,
  options: { 'dry-run': { type: 'boolean' }, force: { type: 'boolean' } },
  positionals: true,
  run,
};

const UNKNOWN_SERVER = 'certbot renews it with no https:// server: add it to certificates in podserve.yaml, with issuers that you choose';

async function run(args: Arguments, context: Context): Promise<number> {
  const [source, directory, ...more] = args.positionals;
  if (source !== 'certbot' || directory === undefined || more.length > 0) {
    throw new PodserveError('USAGE', 'it was not understood what to import', { remedy: 'write podserve import certbot DIR' });
  }
  const { importAccounts } = await import('../services/import/accounts.ts');
  const common = {
    directory: resolve(context.cwd, directory),
    config: await loadConfig(sourceOf(args, context)),
    paths: pathsOf(args, context),
    now: context.clock.now(),
    dryRun: flag(args, 'dry-run'),
  };
  const accounts = await importAccounts(common);
  const results = await importCertbot({
    ...common,
    mayBeEmpty: accounts.length > 0,
    publisher: publisherOf('import certbot', context.env),
    force: flag(args, 'force'),
    signal: context.signal,
  });
  const failed = [...results, ...accounts].some(({ outcome }) => outcome === 'failed');
  const lines = yamlLines(results);
  if (flag(args, 'json')) context.out(JSON.stringify({ lineages: results, accounts, podserveYaml: lines }, null, 2));
  else {
    reportAccounts(accounts, context);
    report(results, lines, context);
  }
  return failed ? 1 : 0;
}

function report(results: readonly Imported[], lines: readonly string[], context: Context): void {
  for (const result of results) {
    const place = result.certificate === undefined ? '' : ` -> certificate ${result.certificate}`;
    const facts = result.notAfter === undefined ? '' : ` (${result.names.join(', ')}; to ${result.notAfter})`;
    const line = `${result.lineage}${place}: ${result.outcome}: ${result.detail}${facts}`;
    if (result.outcome === 'failed') context.err(`podserve import: ${line}`);
    else context.out(line);
    for (const warning of result.warnings) context.err(`podserve import: ${result.lineage}: ${warning}`);
    if (isLacking(result) && result.renewer === undefined) {
      context.err(`podserve import: ${result.lineage}: ${UNKNOWN_SERVER}`);
    }
  }
  if (lines.length === 0) return;
  context.out('');
  context.out('Nobody renews what is not configured. Add this to podserve.yaml:');
  for (const line of lines) context.out(line);
}

function reportAccounts(accounts: readonly ImportedAccount[], context: Context): void {
  for (const { server, account, url, issuer, outcome, detail } of accounts) {
    const place = issuer === undefined ? '' : ` -> issuer ${issuer}`;
    const line = `account ${url ?? account} of ${server}${place}: ${outcome}: ${detail}`;
    if (outcome === 'failed') context.err(`podserve import: ${line}`);
    else context.out(line);
  }
}

/** What podserve.yaml lacks for the imported certificates. */
function yamlLines(results: readonly Imported[]): string[] {
  const lacking = results.filter((one) => isLacking(one) && one.renewer !== undefined);
  if (lacking.length === 0) return [];
  const issuers = new Map(
    lacking.flatMap(({ renewer }) => (renewer?.missing === undefined ? [] : [[renewer.name, renewer.missing.directory]])),
  );
  const certificates = lacking.map(({ certificate, names, renewer }) => {
    const listed = names.map((name) => JSON.stringify(name)).join(', ');
    return `  - { name: ${certificate}, names: [${listed}], issuers: [${renewer?.name}] }`;
  });
  const servers = [...issuers].map(([name, directory]) => `  ${name}: { directory: ${JSON.stringify(directory)} }`);
  return [...(servers.length === 0 ? [] : ['issuers:', ...servers]), 'certificates:', ...certificates];
}

function isLacking({ certificate, configured, outcome }: Imported): boolean {
  return certificate !== undefined && !configured && outcome !== 'failed';
}
