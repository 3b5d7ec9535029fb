import { loadConfig } from '../config/load.ts';
import { peekLedger } from '../ledger/open.ts';
import { eachLimited } from '../platform/concurrency.ts';
import { checkCertificate, checkRoots, type Finding } from '../services/certificates/check.ts';
import { flag, type Arguments, type Context } from './command.ts';
import { inDays, minute } from '../platform/dates.ts';
import { pathsOf, selected, sourceOf } from './settings.ts';

const PLACEHOLDER = 'clients do not trust it; podserve certificates --mode renew asks for the real one';
const AT_ONCE = 16;
/** With more than this, what is good is counted instead of listed. */
const LONGEST_LIST = 50;

/** `podserve certificates --mode check` */
export async function check(args: Arguments, context: Context): Promise<number> {
  const config = await loadConfig(sourceOf(args, context));
  const { certificates: root, ledger: file } = pathsOf(args, context);
  const now = context.clock.now();
  using ledger = peekLedger(file);
  const findings = await eachLimited(selected(args, config), AT_ONCE, (spec) => checkCertificate(root, spec, now, ledger));
  const attention = findings.filter((finding) => finding.attention);
  const roots = findings.some(({ manifest }) => manifest?.issuer === 'local-ca') ? checkRoots(root) : undefined;
  if (flag(args, 'json')) {
    context.out(JSON.stringify({ publication: root, roots: roots ?? null, certificates: findings.map(toJson) }, null, 2));
  } else {
    const good = findings.filter((finding) => !finding.attention);
    for (const finding of good.slice(0, LONGEST_LIST)) context.out(describe(finding, now));
    if (good.length > LONGEST_LIST) context.out(`… and ${good.length - LONGEST_LIST} more that are good`);
    for (const finding of attention) context.out(`${finding.name}: ${finding.state.toUpperCase()}: ${finding.why}`);
    if (roots !== undefined) context.out(`roots: ${roots}`);
    for (const { name, manifest } of good) if (manifest?.placeholder) context.err(`warning: ${name} is a placeholder: ${PLACEHOLDER}`);
    context.out(summary(findings.length, attention.length + (roots === undefined ? 0 : 1), root));
  }
  return attention.length === 0 && roots === undefined ? 0 : 1;
}

function describe({ name, manifest, renewalAt }: Finding, now: number): string {
  if (manifest === undefined) return name;
  const expiry = Date.parse(manifest.notAfter);
  const renewal = renewalAt === undefined ? '' : `, renewal ${minute(renewalAt)}`;
  return `${name}: ${manifest.placeholder ? 'placeholder' : 'good'}: generation ${manifest.generation} of ${manifest.issuer} for ${manifest.identifiers.join(', ')}; expires ${minute(expiry)} (${inDays(expiry - now)})${renewal}`;
}

function summary(all: number, attention: number, root: string): string {
  const certificates = all === 1 ? 'certificate' : 'certificates';
  return attention === 0 ? `${all} ${certificates} in ${root}, all good` : `${all} ${certificates} in ${root}, ${attention} to attend to`;
}

function toJson({ renewalAt, ...finding }: Finding): object {
  return { ...finding, renewalAt: renewalAt === undefined ? null : new Date(renewalAt).toISOString() };
}
