import { describeError } from '../platform/errors.ts';
import { silentLog } from '../platform/log.ts';
import type { HookNotice } from '../services/event-hook.ts';
import type { Result } from '../services/certificates/result.ts';
import { flag, type Arguments, type Context } from './command.ts';
import { inDays, minute } from '../platform/dates.ts';
import { hookOf, pathsOf, selected, sourceOf } from './settings.ts';

const LONGEST_LIST = 50;

/** `podserve certificates --mode init` and `--mode renew` */
export async function renew(mode: 'init' | 'renew', args: Arguments, context: Context): Promise<number> {
  const paths = pathsOf(args, context);
  const ask = { force: flag(args, 'force'), dryRun: flag(args, 'dry-run') };
  const plain = args.values['name'] === undefined && !ask.force && !ask.dryRun;
  if (mode === 'renew' && plain) {
    const { nothingDue } = await import('../services/certificates/nothing-due.ts');
    const quiet = await nothingDue(paths, sourceOf(args, context), context.clock.now());
    if (quiet !== undefined) {
      report(args, context, { results: [], skipped: quiet.certificates, nextLook: quiet.nextLook, root: paths.certificates });
      return 0;
    }
  }
  const [
    { loadConfig, configDigest },
    { openCertificateService, publisherOf },
    { runPass },
    { READ_ALL_UP_TO },
    { noteJudgedBy },
    { heartbeat },
  ] = await Promise.all([
    import('../config/load.ts'),
    import('../services/certificates/open.ts'),
    import('../services/certificates/pass.ts'),
    import('../services/certificates/nothing-due.ts'),
    import('../services/certificates/judged-by.ts'),
    import('../services/certificates/heartbeat.ts'),
  ]);
  // Taken first, so that it never vouches for a newer file than the one that was interpreted.
  const digest = await configDigest(sourceOf(args, context));
  const config = await loadConfig(sourceOf(args, context));
  const names = args.values['name'] === undefined ? undefined : new Set(selected(args, config).map(({ name }) => name));
  for (const warning of config.warnings) context.err(`warning: ${warning}`);
  await using hook = ask.dryRun ? undefined : await hookOf(config, context, silentLog);
  using opened = await openCertificateService({
    config,
    paths,
    clock: context.clock,
    log: silentLog,
    signal: context.signal,
    publisher: publisherOf(`certificates --mode ${mode}`, context.env),
    readOnly: ask.dryRun,
    ...(hook === undefined ? {} : { notify: (notice: HookNotice) => hook.notify(notice) }),
  });
  for (const warning of opened.warnings) context.err(`warning: ${warning}`);
  const pass = await runPass(opened.service, {
    ...ask,
    readAll: mode === 'init' || ask.dryRun || (names?.size ?? config.certificates.length) <= READ_ALL_UP_TO,
    ...(names === undefined ? {} : { names }),
  });
  for (const warning of pass.warnings) context.err(`warning: ${warning}`);
  if (!ask.dryRun && names === undefined && !context.signal.aborted) {
    noteJudgedBy(opened.service.ledger, digest);
    heartbeat(opened.service.ledger, config.certificates.length, context.clock.now());
  }
  report(args, context, { ...pass, nextLook: opened.service.ledger.nextLook(), root: paths.certificates });
  if (context.signal.aborted) {
    context.err('podserve: stopped before everything was done; run it again to go on');
    return 1;
  }
  return pass.results.some(({ outcome, decision }) => outcome === 'failed' || decision.reason === 'clock-behind') ? 1 : 0;
}

interface Report {
  readonly results: readonly Result[];
  readonly skipped: number;
  readonly nextLook: number | undefined;
  readonly root: string;
}

function report(args: Arguments, context: Context, { results, skipped, nextLook, root }: Report): void {
  if (flag(args, 'json')) {
    const certificates = results.map(toJson);
    context.out(JSON.stringify({ publication: root, certificates, notDue: skipped, nextLook: isoOrNull(nextLook) }, null, 2));
    return;
  }
  const now = context.clock.now();
  const failed = results.filter((result) => result.outcome === 'failed' || result.decision.reason === 'clock-behind');
  const others = results.filter((result) => !failed.includes(result));
  const shown = flag(args, 'dry-run') ? others : others.slice(0, LONGEST_LIST);
  for (const result of shown) context.out(describe(result, now));
  if (others.length > shown.length) context.out(`… and ${others.length - shown.length} more: ${counted(others.slice(shown.length))}`);
  for (const result of failed) context.err(describe(result, now));
  if (skipped > 0) context.out(`${skipped} not due${nextLook === undefined ? '' : `; the next look is at ${minute(nextLook)}`}`);
  if (results.some(({ outcome }) => outcome === 'published'))
    context.out(`published in ${root}; podserve status shows what each consumer serves`);
}

/** `2 published, 40 kept` */
function counted(results: readonly Result[]): string {
  const counts = new Map<string, number>();
  for (const { outcome } of results) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
}

function describe({ spec, outcome, decision, manifest, error }: Result, now: number): string {
  const { name } = spec;
  switch (outcome) {
    case 'published':
    case 'restored':
    case 'adopted': {
      const expiry = Date.parse(manifest?.notAfter ?? '');
      const verb = outcome === 'published' ? 'issued' : outcome;
      return `${name}: ${verb}: generation ${manifest?.generation} of ${manifest?.issuer} for ${manifest?.identifiers.join(', ')}; expires ${minute(expiry)} (${inDays(expiry - now)}); reason: ${decision.detail}`;
    }
    case 'failed':
      return `${name}: FAILED: ${describeError(error)}; next try ${minute(decision.nextLook)}`;
    case 'planned':
      return `${name}: would ${decision.action === 'restore' ? `go back to generation ${decision.generation}` : `issue from ${decision.issuers[0] ?? 'nobody'}`} now: ${decision.reason}: ${decision.detail}`;
    case 'waiting':
      return `${name}: waiting until ${minute(decision.nextLook)}: ${decision.reason}: ${decision.detail}`;
    case 'kept':
      return `${name}: kept until ${minute(decision.nextLook)}: ${decision.reason}${decision.reason === 'not-due' ? '' : `: ${decision.detail}`}`;
  }
}

function toJson({ spec, outcome, decision, manifest, error, warnings }: Result): object {
  return {
    name: spec.name,
    outcome,
    action: decision.action,
    reason: decision.reason,
    detail: decision.detail,
    nextLook: isoOrNull(decision.nextLook),
    emergency: decision.emergency,
    generation: manifest ?? null,
    warnings,
    failure: error === undefined ? null : describeError(error),
  };
}

function isoOrNull(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}
