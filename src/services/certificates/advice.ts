import { takeAdvice, type Advice, type AdviceAnswer } from '../../certificate/advice.ts';
import type { Published } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { AcmeIssuer } from '../../issuers/acme/acme.ts';
import { SECOND } from '../../platform/clock.ts';
import { messageOf } from '../../platform/errors.ts';
import { ariCertificateId } from '../../x509/ari-id.ts';
import type { CertificateService } from './service.ts';
import type { Survey } from './survey.ts';

const TIMEOUT_MS = 20 * SECOND;

/** The name of the ACME server that is to be asked when to renew what was found, or undefined. */
export function advisor({ config }: CertificateService, { current }: Survey): string | undefined {
  if (current.state !== 'published' || !canBeAdvised(current)) return undefined;
  const issuer = config.issuers[current.issuer];
  // The server of a rehearsal has never heard of it.
  return issuer === undefined || issuer.rehearse !== undefined ? undefined : current.issuer;
}

/** What its CA last said of exactly this leaf. */
export function adviceOf(
  { ledger }: Pick<CertificateService, 'ledger'>,
  spec: CertificateSpec,
  { current, generation }: Survey,
): Advice | undefined {
  if (current.state !== 'published' || generation === undefined || !canBeAdvised(current)) return undefined;
  const advice = ledger.advice(spec.name);
  return advice?.certificateId === idOf(generation.bundle.leaf) ? advice : undefined;
}

/** Whether the CA is to be asked again now (RFC 9773 §4.3). What has expired is renewed without asking. */
export function adviceDue(service: CertificateService, spec: CertificateSpec, found: Survey, now: number): boolean {
  if (advisor(service, found) === undefined) return false;
  if (found.current.state === 'published' && now >= found.current.notAfter) return false;
  return (adviceOf(service, spec, found)?.nextAsk ?? now) <= now;
}

/** Whether now lies in the window that the CA of what is published suggested for its renewal. */
export function isInWindow(service: Pick<CertificateService, 'ledger'>, spec: CertificateSpec, found: Survey, now: number): boolean {
  const window = adviceOf(service, spec, found)?.window;
  return window !== undefined && window.start <= now && now < window.end;
}

/** Asks the CA, and keeps what it said with the time chosen from it. Never throws: without advice the fractions hold. */
export async function askAdvice(service: CertificateService, issuer: AcmeIssuer, spec: CertificateSpec, found: Survey): Promise<void> {
  const leaf = found.generation?.bundle.leaf;
  const certificateId = leaf === undefined ? undefined : idOf(leaf);
  if (leaf === undefined || certificateId === undefined) return;
  const { ledger, clock, log } = service;
  const answer = await askOnce(issuer, leaf, service.signal, (line) =>
    log.warn({ certificate: spec.name, issuer: issuer.name }, `the CA gave no advice on when to renew: ${line}`),
  );
  if (service.signal.aborted) return;
  const now = clock.now();
  const previous = ledger.advice(spec.name);
  const advice = takeAdvice({ previous, certificateId, answer, now, random: service.random() });
  ledger.keepAdvice(spec.name, advice);
  if (advice.chosen === undefined || advice.chosen === previous?.chosen) return;
  const url = advice.explanationUrl === undefined ? '' : `; its reason: ${advice.explanationUrl}`;
  log.info(
    { certificate: spec.name, issuer: issuer.name, renewalAt: new Date(advice.chosen).toISOString() },
    `${issuer.name} advises to renew between ${iso(advice.window?.start)} and ${iso(advice.window?.end)}${url}`,
  );
}

function canBeAdvised({ origin, placeholder }: Published): boolean {
  return origin === 'issued' && !placeholder;
}

async function askOnce(
  issuer: AcmeIssuer,
  leaf: Parameters<AcmeIssuer['renewalInfo']>[0],
  signal: AbortSignal,
  tell: (line: string) => void,
): Promise<AdviceAnswer> {
  try {
    const polled = await issuer.renewalInfo(leaf, AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]));
    if (polled === undefined) return { kind: 'unusable' };
    return { kind: 'info', ...polled.value, retryAfter: polled.retryAfter };
  } catch (error) {
    tell(messageOf(error));
    return { kind: isTransient(error) ? 'failed' : 'unusable' };
  }
}

/** RFC 9773 §4.3.3: errors of the server and time-outs are retried soon, everything else after hours. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'TimeoutError') return true;
  if ('fault' in error) return error.fault === 'timeout' || error.fault === 'cut';
  return 'status' in error && typeof error.status === 'number' && error.status >= 500;
}

function idOf(leaf: Parameters<typeof ariCertificateId>[0]): string | undefined {
  try {
    return ariCertificateId(leaf);
  } catch {
    // Without an authority key identifier the CA has no name for it.
    return undefined;
  }
}

function iso(time: number | undefined): string {
  return time === undefined ? 'an unknown time' : new Date(time).toISOString();
}
