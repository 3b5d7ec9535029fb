import type { Manifest } from '../../certificate/generation.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { Verified, VerifyTarget } from '../../delivery/verify.ts';
import type { Delivery } from '../../ledger/ledger.ts';
import type { Result } from './result.ts';
import type { CertificateService } from './service.ts';

/** A consumer notices within seconds; one that needs longer than this is not delivering. */
const DEADLINE_MS = 20_000;

interface Target extends VerifyTarget {
  readonly certificate: string;
  readonly generation: number;
}

/**
 * Asks every endpoint of the consumers of what was looked at whether it serves the published generation, and
 * writes the answer down. A renewal is done when every consumer has been seen serving it, not before.
 */
export async function verifyDeliveries(service: CertificateService, results: readonly Result[]): Promise<void> {
  const targets: Target[] = [];
  for (const { spec, manifest } of results) if (manifest !== undefined) targets.push(...(await targetsOf(service, spec, manifest)));
  if (targets.length === 0) return;
  const { ledger, signal } = service;
  ledger.together(() => {
    for (const target of targets) keepAsked(service, target);
  });
  const { verifyServed } = await import('../../delivery/verify.ts');
  const answers = await verifyServed(targets, { deadlineMs: DEADLINE_MS, signal });
  ledger.together(() => {
    for (const [index, answer] of answers.entries()) {
      const target = targets[index];
      if (target !== undefined) keepAnswer(service, target, answer);
    }
    for (const { manifest } of results) if (manifest !== undefined) recordDelivered(service, manifest, targets, answers);
  });
}

/** The renewal is done: every endpoint has been seen serving the generation. On record once for each. */
function recordDelivered(service: CertificateService, manifest: Manifest, targets: readonly Target[], answers: readonly Verified[]): void {
  const { ledger, clock, log } = service;
  const { name: certificate, generation } = manifest;
  const own = answers.filter((_, index) => targets[index]?.certificate === certificate);
  const key = `delivered ${certificate}`;
  if (own.length === 0 || !own.every(({ served }) => served) || ledger.value(key) === String(generation)) return;
  const endpoints = [...new Set(own.map(({ target }) => target.endpoint.url))];
  const slowest = Math.round(Math.max(...own.map(({ afterMs }) => afterMs)));
  const detail = `generation ${generation} has been seen served by ${endpoints.join(', ')}, at the latest after ${slowest} ms`;
  ledger.keepValue(key, String(generation));
  ledger.record({ at: clock.now(), certificate, kind: 'delivery', reason: 'served', detail, generation });
  log.info({ certificate, generation }, detail);
}

/** A generation that is asked for the first time is pending; what is known of it otherwise stays until the answer. */
function keepAsked(service: CertificateService, target: Target): void {
  if (known(service, target)?.generation === target.generation) return;
  keep(service, target, 'pending', 'asked for, no answer yet');
}

/** Writes the answer down, and tells of a refusal that is new and of one that is over. */
function keepAnswer(service: CertificateService, target: Target, { served, failure, afterMs }: Verified): void {
  const { ledger, clock, log } = service;
  const refusedBefore = ledger.value(refusalOf(target)) === REFUSED;
  const detail = served ? `seen after ${Math.round(afterMs)} ms` : (failure?.message ?? 'another certificate is served');
  // What does not answer at all may just not be running: that is not yet a refusal of the certificate.
  const state = served ? 'served' : failure?.step === 'tcp' ? 'pending' : 'rejected';
  keep(service, target, state, detail);
  const { certificate, generation, endpoint } = target;
  if (!served) {
    const fields = { certificate, endpoint: endpoint.url, servername: target.servername };
    log.warn(fields, `generation ${generation} is not served: ${detail}`);
  }
  if (state === 'pending' || refusedBefore === (state === 'rejected')) return;
  const about = { at: clock.now(), certificate, kind: 'delivery', generation } as const;
  const event = served
    ? { ...about, reason: 'served-again', detail: `${endpoint.url} serves generation ${generation}: ${detail}` }
    : { ...about, reason: 'not-served', detail: `${endpoint.url} does not serve generation ${generation}: ${detail}` };
  ledger.keepValue(refusalOf(target), served ? '' : REFUSED);
  ledger.record(event);
  service.notify({ kind: served ? 'recovery' : 'failure', certificate, event });
}

/** Whether any endpoint is to be asked for it. */
export function isDelivered(service: CertificateService, { spec }: Result): boolean {
  return endpointsOf(service, spec).length > 0;
}

/** Forgets the deliveries to endpoints that are not configured any more. */
export function forgetDeliveries(service: CertificateService): void {
  const { ledger, config } = service;
  const delivered = new Set(ledger.deliveries().map(({ certificate }) => certificate));
  for (const spec of config.certificates) {
    if (delivered.has(spec.name)) ledger.retainDeliveries(spec.name, new Set(endpointsOf(service, spec)));
  }
}

function endpointsOf({ config }: CertificateService, spec: CertificateSpec): string[] {
  return spec.consumers.flatMap((consumer) => config.consumers[consumer]?.endpoints ?? []);
}

async function targetsOf(service: CertificateService, spec: CertificateSpec, manifest: Manifest): Promise<Target[]> {
  const urls = endpointsOf(service, spec);
  if (urls.length === 0) return [];
  const { parseEndpoint } = await import('../../delivery/endpoint.ts');
  const about = { certificate: spec.name, generation: manifest.generation, leafSha256: manifest.leafSha256 };
  const names = spec.identifiers.filter(({ type }) => type === 'dns').map(({ value }) => value);
  return urls.flatMap((url) => {
    const endpoint = parseEndpoint(url);
    const servernames = names.length === 0 ? [endpoint.host] : names;
    return servernames.map((servername) => ({ ...about, endpoint, servername }));
  });
}

function known({ ledger }: CertificateService, target: Target): Delivery | undefined {
  const servername = target.servername ?? '';
  return ledger.deliveries(target.certificate).find((one) => one.endpoint === target.endpoint.url && one.servername === servername);
}

function keep({ ledger, clock }: CertificateService, target: Target, state: Delivery['state'], detail: string): void {
  const { certificate, generation, endpoint, servername = '' } = target;
  ledger.keepDelivery({ certificate, endpoint: endpoint.url, servername, generation, state, at: clock.now(), detail });
}

const REFUSED = 'refused';

/** Outlives the generation that was refused: the recovery is that of the endpoint. */
function refusalOf({ certificate, endpoint, servername = '' }: Target): string {
  return `refusal ${certificate} ${endpoint.url} ${servername}`;
}
