import { REVOCATION_REASONS, type RevocationReason } from '../acme/resources.ts';
import type { HookNotice } from '../services/event-hook.ts';
import { PodserveError } from '../platform/errors.ts';
import { silentLog } from '../platform/log.ts';
import { reportResults, succeeded } from './certificates-report.ts';
import { flag, text, type Arguments, type Context } from './command.ts';
import { hookOf, pathsOf, selected, sourceOf } from './settings.ts';

/** `podserve certificates revoke --name N [--reason R]`: revokes what is published and replaces it. */
export async function revoke(args: Arguments, context: Context): Promise<number> {
  const reason = reasonOf(args);
  if (!Array.isArray(args.values['name']) || args.values['name'].length !== 1) {
    throw new PodserveError('USAGE', 'it was not said which certificate to revoke', { remedy: 'give one --name NAME' });
  }
  const [{ loadConfig }, { openCertificateService, publisherOf }, { revokePublished }, { runPass }] = await Promise.all([
    import('../config/load.ts'),
    import('../services/certificates/open.ts'),
    import('../services/certificates/revoke.ts'),
    import('../services/certificates/pass.ts'),
  ]);
  const config = await loadConfig(sourceOf(args, context));
  const [spec] = selected(args, config);
  if (spec === undefined) return 1;
  for (const warning of config.warnings) context.err(`warning: ${warning}`);
  const paths = pathsOf(args, context);
  await using hook = await hookOf(config, context, silentLog);
  using opened = await openCertificateService({
    config,
    paths,
    clock: context.clock,
    log: silentLog,
    signal: context.signal,
    publisher: publisherOf('certificates revoke', context.env),
    ...(hook === undefined ? {} : { notify: (notice: HookNotice) => hook.notify(notice) }),
  });
  for (const warning of opened.warnings) context.err(`warning: ${warning}`);
  const revoked = await revokePublished(opened.service, spec, reason);
  if (!flag(args, 'json')) {
    const how = revoked.already ? 'was revoked already' : 'is revoked';
    const about = `serial ${revoked.serial}, reason ${revoked.reason}`;
    context.out(`${spec.name}: generation ${revoked.generation} of ${revoked.issuer} ${how} (${about})`);
  }
  const pass = await runPass(opened.service, { names: new Set([spec.name]), readAll: true });
  reportResults(args, context, { ...pass, nextLook: opened.service.ledger.nextLook(), root: paths.certificates, extra: { revoked } });
  if (pass.results.every(({ outcome }) => outcome !== 'published')) {
    context.err(
      `${spec.name}: the revoked certificate is still published; the resident service, or podserve certificates --mode renew, replaces it as soon as an issuer answers`,
    );
    return 1;
  }
  return succeeded(pass.results) ? 0 : 1;
}

function reasonOf(args: Arguments): RevocationReason {
  const given = text(args, 'reason') ?? 'unspecified';
  const reasons = Object.keys(REVOCATION_REASONS) as RevocationReason[];
  const reason = reasons.find((one) => one.toLowerCase() === given.toLowerCase());
  if (reason !== undefined) return reason;
  throw new PodserveError('USAGE', `there is no reason ${JSON.stringify(given)} to revoke a certificate`, {
    where: '--reason',
    remedy: `give one of ${reasons.join(', ')}`,
  });
}
