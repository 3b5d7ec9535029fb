import { randomBytes } from 'node:crypto';

import { parseIdentifier } from '../../src/certificate/identifier.ts';
import type { ChallengeTask } from '../../src/challenges/solver.ts';

/** A challenge as an ACME server would set it for a name or address. */
export function challengeTask(name = 'www.example.org', token = randomBytes(16).toString('base64url')): ChallengeTask {
  const thumbprint = randomBytes(32).toString('base64url');
  return { identifier: parseIdentifier(name), token, keyAuthorization: `${token}.${thumbprint}` };
}

/** Long enough for everything here, and an end to what hangs. */
export function soon(): AbortSignal {
  return AbortSignal.timeout(10_000);
}
