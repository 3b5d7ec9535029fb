import type { Ledger } from '../../ledger/ledger.ts';
import { DAY, HOUR } from '../../platform/clock.ts';

/** Shorter than a day, so that a daily run which comes a little early leaves its mark too. */
const INTERVAL = 20 * HOUR;
const KEEP_EVENTS = 400 * DAY;
/** No CA counts longer than a week; a configured limit may. */
const KEEP_USES = 60 * DAY;

/**
 * After everything was judged: one event a day, whoever ran the pass, and what is old is forgotten. Without it a clock
 * that jumped could not be told from a service with nothing to do, and one that is behind would be believed.
 * @param certificates how many were judged
 */
export function heartbeat(ledger: Ledger, certificates: number, now: number): void {
  const { newest } = ledger.clockEvidence(now);
  // A time before what is on record is no time to record.
  if (newest !== undefined && now < newest + INTERVAL) return;
  ledger.together(() => {
    const detail = `${certificates} certificates judged`;
    ledger.record({ at: now, certificate: null, kind: 'checked', reason: 'daily', detail, generation: null });
    ledger.forgetBefore(now - KEEP_EVENTS);
    ledger.forgetUsesBefore(now - KEEP_USES);
  });
}
