import { PATIENCE, type Patience } from './waiting.ts';
import type { KnownAccount } from './account.ts';
import type { Attempt } from './classify.ts';
import type { Step } from './kinds.ts';
import type { StoredOrder } from './order-file.ts';
import type { OrderPlace } from './place.ts';

/** The work on one order. */
export interface Run {
  readonly place: OrderPlace;
  readonly by: KnownAccount;
  readonly stored: StoredOrder;
  readonly patience: Patience;
  readonly signal: AbortSignal;
}

export function newRun(place: OrderPlace, by: KnownAccount, stored: StoredOrder, signal: AbortSignal): Run {
  return { place, by, stored, patience: { left: PATIENCE }, signal };
}

/** What is attempted at a step of it. */
export function attemptOf({ place, stored }: Pick<Run, 'place' | 'stored'>, step: Step, subject?: string): Attempt {
  return {
    what: noCertificate(place.config.name, stored.certificate),
    issuer: place.config.name,
    server: place.config.directory,
    step,
    identifiers: stored.identifiers,
    now: place.clock.now(),
    ...(subject === undefined ? {} : { subject }),
  };
}

export function noCertificate(issuer: string, certificate: string): string {
  return `${issuer} gave no certificate for ${certificate}`;
}
