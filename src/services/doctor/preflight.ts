import { SECOND } from '../../platform/clock.ts';
import { examine, type Examination } from './examine.ts';
import type { Finding } from './finding.ts';

const TIMEOUT = 15 * SECOND;

/**
 * What stands in the way of the first order of a certificate, as far as it can be seen from here. Advice: no order waits
 * for a good one. Takes 15 s at most, and leaves nothing behind.
 * @throws the signal's reason
 */
export async function preflight(options: Omit<Examination, 'timeoutMs' | 'ports'>): Promise<Finding[]> {
  return examine({ ...options, timeoutMs: TIMEOUT, ports: { http: 80, https: 443 } });
}
