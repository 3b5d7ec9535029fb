import type { ServiceStatus } from '../services/certificates/status.ts';
import type { EndpointStatus } from '../services/endpoint-status.ts';
import type { Found } from '../services/instance.ts';
import type { Standing } from './standing.ts';

/**
 * What a person has to look at, one line each.
 * @param isListed whether the configuration lists it as a consumer: it shall serve while the stack runs, where the page
 *   and Apache that are not listed need not run
 */
export function troublesOf(
  status: ServiceStatus,
  found: Found,
  endpoints: readonly EndpointStatus[],
  services: Standing['services'],
  isListed: (endpoint: EndpointStatus) => boolean,
  now: number,
): string[] {
  const certificates = status.certificates.filter(({ condition }) => condition !== 'well');
  const overdue =
    found.state === 'none'
      ? status.certificates.filter(({ renewalAt, condition }) => condition === 'well' && renewalAt !== null && Date.parse(renewalAt) < now)
      : [];
  const shallServe = (one: EndpointStatus): boolean => one.consumer in services || (found.state === 'running' && isListed(one));
  const unserved = endpoints.filter(
    (one) => one.state === 'other-certificate' || one.state === 'failed' || (one.state === 'silent' && shallServe(one)),
  );
  return [
    ...status.alarms,
    ...certificates.map(({ name, state, failure, why }) => {
      const reason = failure === null ? why : 'its renewal fails, as said above';
      return `certificate ${name}${state === 'good' ? '' : ` is ${state}`}: ${reason}`;
    }),
    ...overdue.map(({ name }) => `certificate ${name}: its renewal time is over and nothing runs that would renew it`),
    ...unserved.map(({ endpoint, certificate, detail }) => `${endpoint} should serve ${certificate}: ${detail}`),
    ...Object.entries(services).flatMap(([name, { ready, reasons }]) =>
      // The certificates' own reasons are those above, seen by the service a little earlier.
      ready || name === 'certificates' ? [] : reasons.map((reason) => `${name} is not ready: ${reason}`),
    ),
  ];
}
