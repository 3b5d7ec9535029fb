import type { Manifest } from '../../certificate/generation.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { VerifyTarget } from '../../delivery/verify.ts';
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
  const { ledger, clock, signal, log } = service;
  for (const target of targets) keep(service, target, 'pending', 'asked for, no answer yet');
  const { verifyServed } = await import('../../delivery/verify.ts');
  const answers = await verifyServed(targets, { deadlineMs: DEADLINE_MS, signal });
  for (const [index, { served, failure, afterMs }] of answers.entries()) {
    const target = targets[index];
    if (target === undefined) continue;
    const detail = served ? `seen after ${Math.round(afterMs)} ms` : (failure?.message ?? 'another certificate is served');
    // What does not answer at all may just not be running: that is not yet a refusal of the certificate.
    const state = served ? 'served' : failure?.step === 'tcp' ? 'pending' : 'rejected';
    const changed = keep(service, target, state, detail);
    const fields = { certificate: target.certificate, endpoint: target.endpoint.url, servername: target.servername };
    if (!served) log.warn(fields, `generation ${target.generation} is not served: ${detail}`);
    if (state !== 'rejected' || !changed) continue;
    const event = {
      at: clock.now(),
      certificate: target.certificate,
      kind: 'delivery',
      reason: 'not-served',
      detail: `${target.endpoint.url} does not serve generation ${target.generation}: ${detail}`,
      generation: target.generation,
    } as const;
    ledger.record(event);
    service.notify({ kind: 'failure', certificate: target.certificate, event });
  }
}

/** Whether any endpoint is to be asked for it. */
export function isDelivered({ config }: CertificateService, { spec }: Result): boolean {
  return spec.consumers.some((consumer) => (config.consumers[consumer]?.endpoints.length ?? 0) > 0);
}

async function targetsOf(service: CertificateService, spec: CertificateSpec, manifest: Manifest): Promise<Target[]> {
  const urls = spec.consumers.flatMap((consumer) => service.config.consumers[consumer]?.endpoints ?? []);
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

/** @returns whether the state or the generation is another than on record */
function keep(service: CertificateService, target: Target, state: Delivery['state'], detail: string): boolean {
  const { ledger, clock } = service;
  const { certificate, generation, endpoint } = target;
  const servername = target.servername ?? '';
  const before = ledger.deliveries(certificate).find((one) => one.endpoint === endpoint.url && one.servername === servername);
  // A generation that was refused stays refused while it is asked for again.
  if (state === 'pending' && before?.generation === generation && before.state !== 'pending') return false;
  ledger.keepDelivery({ certificate, endpoint: endpoint.url, servername, generation, state, at: clock.now(), detail });
  return before?.generation !== generation || before.state !== state;
}
