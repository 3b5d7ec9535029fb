import { silentLog } from '../platform/log.ts';
import type { HookNotice } from '../services/event-hook.ts';
import { reportResults, succeeded } from './certificates-report.ts';
import { flag, type Arguments, type Context } from './command.ts';
import { hookOf, pathsOf, selected, sourceOf } from './settings.ts';

/** `podserve certificates --mode init` and `--mode renew` */
export async function renew(mode: 'init' | 'renew', args: Arguments, context: Context): Promise<number> {
  const paths = pathsOf(args, context);
  const ask = { force: flag(args, 'force'), dryRun: flag(args, 'dry-run') };
  const plain = args.values['name'] === undefined && !ask.force && !ask.dryRun;
  if (mode === 'renew' && plain) {
    const { nothingDue } = await import('../services/certificates/nothing-due.ts');
    const quiet = await nothingDue(paths, sourceOf(args, context), context.clock.now());
    if (quiet !== undefined) {
      reportResults(args, context, { results: [], skipped: quiet.certificates, nextLook: quiet.nextLook, root: paths.certificates });
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
    ...(mode === 'init' ? { orders: 'later' } : {}),
  });
  for (const warning of pass.warnings) context.err(`warning: ${warning}`);
  if (!ask.dryRun && names === undefined && !context.signal.aborted) {
    noteJudgedBy(opened.service.ledger, digest);
    heartbeat(opened.service.ledger, config.certificates.length, context.clock.now());
  }
  reportResults(args, context, { ...pass, nextLook: opened.service.ledger.nextLook(), root: paths.certificates });
  if (context.signal.aborted) {
    context.err('podserve: stopped before everything was done; run it again to go on');
    return 1;
  }
  return succeeded(pass.results) ? 0 : 1;
}
