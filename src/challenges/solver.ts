import type { Identifier } from '../certificate/identifier.ts';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';

export const CHALLENGE_TYPES = ['http-01', 'dns-01', 'tls-alpn-01'] as const;
export type ChallengeType = (typeof CHALLENGE_TYPES)[number];

/** One challenge to answer (RFC 8555 §8). */
export interface ChallengeTask {
  /** What is proven; without `*.` for a wildcard. */
  readonly identifier: Identifier;
  readonly token: string;
  /** RFC 8555 §8.1: token "." base64url(thumbprint of the account key). Not secret, but not for logs either. */
  readonly keyAuthorization: string;
}

/** Makes the answer to challenges of one type available, and takes it away again. May be used for many at once. */
export interface ChallengeSolver extends AsyncDisposable {
  readonly type: ChallengeType;
  /**
   * Resolves when the answer is there as far as can be seen from here, so that the CA may be told.
   * @throws PodserveError CHALLENGE_FAILED, saying what to change; what it had put in place is gone again then
   */
  present(task: ChallengeTask, signal: AbortSignal): Promise<void>;
  /**
   * Takes the answer away. An answer that is gone already is no error. Must work after the order was aborted: so it has
   * a time-out of its own.
   * @param order the signal that the answer was presented with: once it is aborted, there are seconds left
   * @throws PodserveError CHALLENGE_FAILED where something was left behind; the caller logs it and goes on
   */
  cleanup(task: ChallengeTask, order?: AbortSignal): Promise<void>;
}

/** What solvers need of the host. */
export interface SolverSurroundings {
  /** `<state>/challenges`, which Apache serves. */
  readonly challengesDirectory: string;
  /** `host:port` of the DNS servers that are asked; empty: the system's. */
  readonly resolvers: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}
