import type { StatusAnswer } from '../services/ask-status.ts';
import type { ServiceStatus } from '../services/certificates/status.ts';
import type { EndpointStatus } from '../services/endpoint-status.ts';
import type { Found } from '../services/instance.ts';
import type { PodStanding } from '../services/pods/status.ts';

/** Everything that `podserve status` tells. */
export interface Standing {
  readonly status: ServiceStatus;
  readonly found: Found;
  readonly endpoints: readonly EndpointStatus[];
  /** What the status ports answer, by service; those that do not run are left out. */
  readonly services: Readonly<Record<string, Extract<StatusAnswer, { answers: true }>>>;
  /** The pods that keep their data here; then the rest is what they say. */
  readonly pods: readonly PodStanding[];
  /** What a person has to look at, one line each. */
  readonly troubles: readonly string[];
}
