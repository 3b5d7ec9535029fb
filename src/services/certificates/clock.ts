import { CLOCK_TOLERANCE, judgeClock, type ClockVerdict } from '../../certificate/clock-evidence.ts';
import type { CertificateService } from './service.ts';

const ALARM = 'clock-behind-since';

/**
 * Judges the clock by the ledger and writes down what follows from it. With `force` the operator vouches for it.
 * @returns `behind` when nothing may be decided by the clock now
 */
export function settleClock(service: CertificateService, options: { force?: boolean; dryRun?: boolean }): ClockVerdict {
  const { ledger, log } = service;
  const now = service.clock.now();
  const verdict = judgeClock(ledger.clockEvidence(now), now);
  if (options.dryRun) return verdict;
  if (verdict === 'behind' && !options.force) {
    const detail =
      `the clock says ${new Date(now).toISOString()}, but later events are on record; nothing is issued until it is set right ` +
      '(if it is right now: podserve certificates --mode renew --force)';
    if (!clockAlarm(service)) {
      const event = { at: now, certificate: null, kind: 'clock', reason: 'clock-behind', detail, generation: null } as const;
      ledger.together(() => {
        ledger.record(event);
        ledger.keepValue(ALARM, String(now));
      });
      service.notify({ kind: 'emergency', certificate: null, event });
    }
    log.error({ reason: 'clock-behind' }, detail);
    return verdict;
  }
  const alarmed = clockAlarm(service);
  if (verdict === 'right' && !alarmed) return verdict;
  const detail =
    verdict === 'right' ? 'the clock is right again' : 'the clock was ahead when later events were recorded; their times no longer count';
  const reason = verdict === 'right' ? 'clock-right' : 'clock-was-ahead';
  const event = { at: now, certificate: null, kind: 'clock', reason, detail, generation: null } as const;
  ledger.together(() => {
    if (verdict !== 'right') {
      ledger.discreditAfter(now + CLOCK_TOLERANCE);
      // Also those that this pass is not about: their next look may lie ten years ahead.
      ledger.lookAgain(now);
    }
    ledger.record(event);
    ledger.keepValue(ALARM, '');
  });
  log.warn({ reason }, detail);
  if (alarmed) service.notify({ kind: 'recovery', certificate: null, event });
  return verdict === 'behind' ? 'was-ahead' : verdict;
}

/** Whether the last judgement was that the clock is behind. */
export function clockAlarm(service: Pick<CertificateService, 'ledger'>): boolean {
  return (service.ledger.value(ALARM) ?? '') !== '';
}
