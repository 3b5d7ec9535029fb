import type { CertificateSpec } from '../../certificate/spec.ts';
import { SECOND } from '../../platform/clock.ts';
import { CA_PORTS, examine, type Examination } from './examine.ts';
import type { Finding } from './finding.ts';

export interface PreflightOptions extends Omit<Examination, 'identifiers' | 'timeoutMs' | 'ports'> {
  readonly spec: CertificateSpec;
}

const TIMEOUT = 15 * SECOND;

/**
 * What stands in the way of the first order of a certificate, as far as it can be seen from here. Advice: no order waits
 * for a good one. Takes 15 s at most, and leaves nothing behind.
 * @throws the signal's reason
 */
export async function preflight({ spec, ...options }: PreflightOptions): Promise<Finding[]> {
  return examine({ ...options, identifiers: spec.identifiers, timeoutMs: TIMEOUT, ports: CA_PORTS });
}
