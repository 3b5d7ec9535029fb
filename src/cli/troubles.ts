import type { ServiceStatus } from '../services/certificates/status.ts';
import type { EndpointStatus } from '../services/endpoint-status.ts';
import type { Found } from '../services/instance.ts';
import type { Standing } from './standing.ts';

/** What a person has to look at, one line each. */
export function troublesOf(
  status: ServiceStatus,
  found: Found,
  endpoints: readonly EndpointStatus[],
  services: Standing['services'],
  now: number,
): string[] {
  const certificates = status.certificates.filter(({ condition }) => condition !== 'well');
  const overdue =
    found.state === 'none'
      ? status.certificates.filter(({ renewalAt, condition }) => condition === 'well' && renewalAt !== null && Date.parse(renewalAt) < now)
      : [];
  const unserved = endpoints.filter(
    ({ state, consumer }) => state === 'other-certificate' || state === 'failed' || (state === 'silent' && consumer in services),
  );
  return [
    ...status.alarms,
    ...certificates.map(({ name, state, why }) => `certificate ${name} is ${state}: ${why}`),
    ...overdue.map(({ name }) => `certificate ${name}: its renewal time is over and nothing runs that would renew it`),
    ...unserved.map(({ endpoint, certificate, detail }) => `${endpoint} should serve ${certificate}: ${detail}`),
    ...Object.entries(services).flatMap(([name, { ready, reasons }]) =>
      // The certificates' own reasons are those above, seen by the service a little earlier.
      ready || name === 'certificates' ? [] : reasons.map((reason) => `${name} is not ready: ${reason}`),
    ),
  ];
}
