import type { CertificateSpec } from '../certificate/spec.ts';
import type { Config } from '../config/config.ts';
import { parseEndpoint } from '../delivery/endpoint.ts';
import { ProbeFailure } from '../delivery/failure.ts';
import { servedLeafSha256 } from '../delivery/probe.ts';
import { eachLimited } from '../platform/concurrency.ts';
import type { ServiceStatus } from './certificates/status.ts';

/** What one endpoint serves for one certificate, seen just now. */
export interface EndpointStatus {
  readonly certificate: string;
  readonly consumer: string;
  readonly endpoint: string;
  /** `kept`: nothing whole is published to compare with; `silent`: no TCP connection, so it may just not be running. */
  readonly state: 'served' | 'kept' | 'other-certificate' | 'failed' | 'silent';
  readonly detail: string;
}

export interface EndpointOptions {
  /** For one handshake; further ones follow where none is answered in time. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const AT_ONCE = 16;
const TRIES = 4;

/**
 * The leaf that an endpoint serves, SHA-256 in lower-case hex. What is not answered in time is asked again: for some
 * seconds after a pod has joined or left, the name server of the pods is deaf, and the resolver asks it again late.
 * @throws ProbeFailure
 */
export async function leafServedAt(url: string, servername: string | undefined, options: EndpointOptions): Promise<string> {
  const endpoint = parseEndpoint(url);
  for (let tries = 1; ; tries += 1) {
    try {
      return await servedLeafSha256(endpoint, { servername, ...options });
    } catch (error) {
      if (!(error instanceof ProbeFailure && error.timedOut) || tries === TRIES) throw error;
    }
  }
}

/** Shakes hands with every endpoint of every consumer of the certificates in the status, for one name each. */
export async function endpointsStatus(config: Config, status: ServiceStatus, options: EndpointOptions): Promise<EndpointStatus[]> {
  const published = new Map(status.certificates.map((one) => [one.name, one.published]));
  const questions = config.certificates.flatMap((spec) =>
    spec.consumers.flatMap((consumer) => (config.consumers[consumer]?.endpoints ?? []).map((url) => ({ spec, consumer, url }))),
  );
  return eachLimited(questions, AT_ONCE, async ({ spec, consumer, url }) => {
    const about = { certificate: spec.name, consumer, endpoint: url };
    return { ...about, ...(await ask(url, spec, published.get(spec.name)?.leafSha256, options)) };
  });
}

async function ask(
  url: string,
  spec: CertificateSpec,
  expected: string | undefined,
  options: EndpointOptions,
): Promise<Pick<EndpointStatus, 'state' | 'detail'>> {
  const servername = spec.identifiers.find(({ type }) => type === 'dns')?.value;
  try {
    const seen = await leafServedAt(url, servername, options);
    if (seen === expected) return { state: 'served', detail: 'serves what is published' };
    if (expected === undefined) return { state: 'kept', detail: 'serves what it has; nothing whole is published' };
    return { state: 'other-certificate', detail: `serves another certificate (SHA-256 ${seen.slice(0, 16)}…)` };
  } catch (error) {
    return unseenBecause(error);
  }
}

/** @throws whatever is no failure of a probe */
export function unseenBecause(error: unknown): Pick<EndpointStatus, 'state' | 'detail'> {
  if (!(error instanceof ProbeFailure)) throw error;
  const detail = error.why ?? error.message;
  return error.step === 'tcp' ? { state: 'silent', detail } : { state: 'failed', detail: `${error.step}: ${detail}` };
}
