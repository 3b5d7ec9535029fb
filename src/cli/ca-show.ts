import { displayIdentifier } from '../certificate/identifier.ts';
import { sameCertificate, type TrustStore } from '../platform/trust/store.ts';
import { describeError } from '../platform/errors.ts';
import { networkText, readNameConstraints } from '../x509/name-constraints.ts';
import type { KnownRoot, KnownRoots } from './ca-roots.ts';
import type { Context } from './command.ts';
import { inDays, minute } from '../platform/dates.ts';

const SHOWN_NAMES = 10;

interface RootReport {
  readonly name: string;
  readonly subject: string;
  /** SHA-256, as browsers show it. */
  readonly fingerprint: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly role: 'signs' | 'announced' | 'kept' | 'unknown';
  /** When an announced root begins to sign. */
  readonly signsFrom?: string;
  readonly permittedNames: readonly string[];
  readonly permittedNetworks: readonly string[];
  readonly trust: readonly { readonly store: string; readonly path: string; readonly trusted: boolean | 'unknown' }[];
}

/** `podserve ca show`: what the roots are, what they may sign, and where they are trusted. */
export async function showRoots(roots: KnownRoots, stores: readonly TrustStore[], json: boolean, context: Context): Promise<number> {
  const found = await Promise.all(stores.map((store) => look(store, context)));
  const reports = roots.anchors.map((root) => reportOf(root, roots, found));
  if (json) {
    context.out(JSON.stringify({ file: roots.file, published: roots.published, roots: reports }, null, 2));
    return 0;
  }
  for (const report of reports) for (const line of linesOf(report, context.clock.now())) context.out(line);
  context.out(roots.published ? `file: ${roots.file}` : `not published yet: ${roots.file}`);
  return 0;
}

interface Look {
  readonly store: TrustStore;
  readonly trusted: readonly string[] | 'unknown';
}

async function look(store: TrustStore, context: Context): Promise<Look> {
  try {
    return { store, trusted: (await store.held()).filter(({ trusted }) => trusted).map(({ pem }) => pem) };
  } catch (error) {
    context.err(`podserve: ${describeError(error)}`);
    return { store, trusted: 'unknown' };
  }
}

function reportOf(root: KnownRoot, { state }: KnownRoots, found: readonly Look[]): RootReport {
  const { certificate, pem } = root;
  const constraints = readNameConstraints(certificate.raw);
  const announced = state?.announced?.fingerprint256 === certificate.fingerprint256 ? state.announced : undefined;
  const signs = state?.signing?.fingerprint256 === certificate.fingerprint256;
  return {
    name: root.nickname,
    subject: certificate.subject.replaceAll('\n', ', '),
    fingerprint: certificate.fingerprint256,
    notBefore: certificate.validFromDate.toISOString(),
    notAfter: certificate.validToDate.toISOString(),
    role: state === undefined ? 'unknown' : signs ? 'signs' : announced === undefined ? 'kept' : 'announced',
    ...(announced === undefined ? {} : { signsFrom: new Date(announced.signsFrom).toISOString() }),
    permittedNames: [...(constraints?.domains ?? [])].map((value) => displayIdentifier({ type: 'dns', value })),
    permittedNetworks: (constraints?.networks ?? []).map(networkText),
    trust: found.map(({ store, trusted }) => ({
      store: store.label,
      path: store.path,
      trusted: trusted === 'unknown' ? trusted : trusted.some((other) => sameCertificate(other, pem)),
    })),
  };
}

function linesOf(report: RootReport, now: number): string[] {
  const ends = Date.parse(report.notAfter);
  const where = (trusted: boolean): string =>
    report.trust
      .filter((one) => one.trusted === trusted)
      .map(({ store }) => store)
      .join(', ') || 'none';
  return [
    report.name,
    `  subject     ${report.subject}`,
    `  SHA-256     ${report.fingerprint}`,
    `  valid       ${minute(Date.parse(report.notBefore))} to ${minute(ends)} (ends ${inDays(ends - now)})`,
    `  role        ${roleText(report)}`,
    `  may sign    ${few(report.permittedNames)}, and names below them`,
    `              ${report.permittedNetworks.join(', ')}`,
    '              nothing else: no other name or address, no e-mail address, no URI',
    `  trusted by  ${where(true)}`,
    `  not by      ${where(false)}`,
  ];
}

function roleText({ role, signsFrom }: RootReport): string {
  if (role === 'announced')
    return `announced: signs from ${minute(Date.parse(signsFrom ?? ''))} on; at once for names that no older root may sign`;
  if (role === 'kept') return 'kept: certificates that it signed may still live';
  if (role === 'unknown') return 'unknown: this user may not look into the authority directory';
  return 'signs';
}

function few(names: readonly string[]): string {
  const more = names.length - SHOWN_NAMES;
  return more > 0 ? `${names.slice(0, SHOWN_NAMES).join(', ')} (and ${more} more)` : names.join(', ');
}
