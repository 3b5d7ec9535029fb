import type { AcmeIssuerConfig, ChallengeConfig, Config } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import { displayIdentifier } from '../certificate/identifier.ts';
import { isLocalIssuer, type CertificateSpec } from '../certificate/spec.ts';
import { formatDuration } from '../platform/duration.ts';
import { PodserveError } from '../platform/errors.ts';
import { flag, text, type Arguments, type Command, type Context } from './command.ts';

/** More certificates than this are counted, not listed. */
const MOST_LISTED = 20;

export const command: Command = {
  summary: 'check or show the configuration as it is understood',
  help: [
    'usage: podserve config check|show|schema [--config FILE] [--json] [--values]',
    '',
    '  check   says whether file and environment are right, and what they come to; changes nothing',
    '  show    prints the whole configuration as YAML, each value with its file and line, variable, or "default"',
    '  schema  prints the JSON schema of podserve.yaml for editors',
    '',
    '  --config FILE  default ./podserve.yaml, then /data/config/podserve.yaml, else defaults alone',
    '  --values       show: without where the values came from',
    '  --json         check: {ok, file, certificates, issuers, warnings}; show: {file, config, origins, warnings};',
    '                 a wrong configuration gives {ok: false, error} and exit code 2',
    '',
    'examples:',
    '  podserve config check --config /etc/podserve/podserve.yaml',
    '  podserve config schema > podserve.schema.json',
  ].join('\n'),
  options: { values: { type: 'boolean' } },
  positionals: true,
  async run(args, context) {
    const [verb, ...rest] = args.positionals;
    if (rest.length > 0) throw usage(`${JSON.stringify(rest[0])} is one word too many`);
    if (verb === 'check') return check(args, context);
    if (verb === 'show') return show(args, context);
    if (verb === 'schema') return schema(context);
    throw usage(verb === undefined ? 'it needs check, show or schema' : `there is no config ${JSON.stringify(verb)}`);
  },
};

async function check(args: Arguments, context: Context): Promise<number> {
  const loaded = await load(args, context);
  if (loaded === undefined) return 2;
  const { config } = loaded;
  const { inspectIssuers, inspectOnEvent } = await import('../config/inspect.ts');
  const trouble = await inspectOnEvent(config.onEvent, context.env['PATH']);
  // Services start all the same, and warn: renewal does not hang on the program that tells of it.
  if (trouble !== undefined) {
    const error = new PodserveError('CONFIG_INVALID', 'the configuration is wrong', { why: trouble });
    if (!flag(args, 'json')) throw error;
    context.out(JSON.stringify({ ok: false, error: errorAsJson(error) }));
    return 2;
  }
  // No error either: the same file is read where those are not mounted.
  const warnings = [...config.warnings, ...(await inspectIssuers(config.issuers, context.env['PATH']))];
  if (flag(args, 'json')) {
    const { file = null, certificates, issuers } = config;
    context.out(JSON.stringify({ ok: true, file, certificates: certificates.length, issuers: Object.keys(issuers), warnings }));
    return 0;
  }
  for (const line of summaryOf(config, loaded.source?.shown)) context.out(line);
  for (const warning of warnings) context.err(`warning: ${warning}`);
  return 0;
}

async function show(args: Arguments, context: Context): Promise<number> {
  const loaded = await load(args, context);
  if (loaded === undefined) return 2;
  const { config } = loaded;
  const origins = !flag(args, 'values');
  const [{ explain }, { listOrigins, printYaml }] = await Promise.all([import('../config/explain.ts'), import('../config/print.ts')]);
  if (flag(args, 'json')) {
    const { file = null, warnings } = config;
    context.out(JSON.stringify({ file, config, ...(origins ? { origins: listOrigins(explain(loaded)) } : {}), warnings }));
    return 0;
  }
  for (const line of printYaml(explain(loaded), origins)) context.out(line);
  for (const warning of config.warnings) context.err(`warning: ${warning}`);
  return 0;
}

async function schema(context: Context): Promise<number> {
  const { jsonSchema } = await import('../config/schema.ts');
  context.out(JSON.stringify(jsonSchema(), undefined, 2));
  return 0;
}

/** With `--json` a wrong configuration is a result too; it gives undefined then. */
async function load(args: Arguments, context: Context): Promise<LoadedConfig | undefined> {
  const { loadExplained } = await import('../config/load.ts');
  try {
    return await loadExplained({ file: text(args, 'config'), env: context.env, cwd: context.cwd });
  } catch (error) {
    if (!(error instanceof PodserveError) || !flag(args, 'json')) throw error;
    context.out(JSON.stringify({ ok: false, error: errorAsJson(error) }));
    return undefined;
  }
}

function errorAsJson({ code, message, where, why, remedy, problems }: PodserveError): Record<string, unknown> {
  return { code, message, where, why, remedy, problems };
}

function summaryOf(config: Config, shown: string | undefined): string[] {
  const { certificates } = config;
  const count = certificates.length === 1 ? '1 certificate' : `${certificates.length} certificates`;
  const lines = certificates.slice(0, MOST_LISTED).map((spec) => {
    const names = spec.identifiers.map(displayIdentifier);
    const listed = names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
    return `  ${spec.name}: ${listed}; ${spec.issuers.join(', then ')}; ${spec.keyType}${livesOf(spec)}`;
  });
  if (certificates.length > MOST_LISTED) lines.push(`  and ${certificates.length - MOST_LISTED} more`);
  return [
    `${shown ?? 'there is no configuration file; the defaults'}: ${shown === undefined ? 'come to' : 'right,'} ${count}`,
    ...lines,
    ...Object.values(config.issuers).map(issuerLine),
  ];
}

/** ACME servers say themselves how long. */
function livesOf({ issuers, lifetime }: CertificateSpec): string {
  return issuers.some(isLocalIssuer) ? `; lives ${formatDuration(lifetime)}` : '';
}

function issuerLine({ name, directory, challenge, profile, rehearse }: AcmeIssuerConfig): string {
  const how = `${challenge.type} by ${wayOf(challenge)}`;
  const ordered = profile === undefined ? '' : `; profile ${profile}`;
  return `  issuer ${name}: ${directory}; ${how}${ordered}${rehearse === undefined ? '' : `; rehearses against ${rehearse}`}`;
}

function wayOf(challenge: ChallengeConfig): string {
  if (challenge.via === 'listen') return `an own listener at ${challenge.listen}`;
  if (challenge.via === 'webroot') return `files in ${challenge.webroot ?? 'the challenges volume'}`;
  return challenge.via === 'exec' ? `the program ${challenge.exec}` : `updates to ${challenge.server}`;
}

function usage(why: string): PodserveError {
  return new PodserveError('USAGE', 'podserve config was not understood', { why, remedy: 'podserve config --help shows what it takes' });
}
