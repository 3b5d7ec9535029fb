import type { Condition, Event, Outlook } from '../../ledger/ledger.ts';
import { describeError } from '../../platform/errors.ts';
import { forgetJudgedBy } from './judged-by.ts';
import { outlookOf } from './outlook.ts';
import type { Result } from './result.ts';
import type { HookNotice } from '../event-hook.ts';
import type { CertificateService } from './service.ts';

/**
 * Writes down what became of a certificate, and tells whoever wants to know of a change: a renewal each time,
 * a failure, an emergency and a recovery when they begin, not while they last.
 */
export function settle(service: CertificateService, result: Result, now: number): void {
  const { ledger, log } = service;
  const { name } = result.spec;
  const before = ledger.outlook(name);
  const failing = result.outcome === 'failed';
  const outlook = outlookOf(result.spec, result.link, result.current, result.decision, failing);
  if (failing) {
    const count = (ledger.failure(name)?.count ?? 0) + 1;
    ledger.keepFailure(name, { count, at: now, retryAt: result.decision.nextLook, message: describeError(result.error) });
  } else if (result.outcome !== 'waiting') {
    ledger.clearFailure(name);
  }
  if (before?.specDigest !== outlook.specDigest) forgetJudgedBy(ledger);
  ledger.keepOutlook(outlook);
  const notices = noticesOf(result, before?.condition ?? 'well', outlook.condition);
  const event = eventOf(result, before, now, notices.length > 0);
  if (event === undefined) return;
  ledger.record(event);
  const fields = { certificate: name, reason: event.reason, generation: event.generation };
  if (failing) log.warn(fields, event.detail);
  else log.info(fields, event.detail);
  for (const kind of notices) service.notify({ kind, certificate: name, event });
}

/** What happened, or undefined when nothing did that was not on record already. What is told to people is always recorded. */
function eventOf(result: Result, before: Outlook | undefined, now: number, worthTelling: boolean): Event | undefined {
  const { decision, manifest } = result;
  const about = { at: now, certificate: result.spec.name, reason: decision.reason, generation: manifest?.generation ?? null };
  switch (result.outcome) {
    case 'published':
      return {
        ...about,
        kind: 'issued',
        detail: `generation ${manifest?.generation} of ${manifest?.issuer} published: ${decision.detail}`,
      };
    case 'restored':
      return { ...about, kind: 'restored', detail: decision.detail };
    case 'adopted':
      return { ...about, kind: 'adopted', detail: `files made by hand adopted as generation ${manifest?.generation}` };
    case 'failed':
      return { ...about, kind: 'failed', detail: describeError(result.error) };
    case 'waiting':
      return before?.reason === decision.reason && !worthTelling ? undefined : { ...about, kind: 'waiting', detail: decision.detail };
    case 'kept':
      if (before?.link === (result.link ?? null)) {
        const asPublished = decision.reason === 'not-due' && before.condition === 'well';
        if (asPublished || before.reason === decision.reason) return undefined;
      }
      return { ...about, kind: 'noticed', detail: `generation ${manifest?.generation} is published: ${decision.detail}` };
    case 'planned':
      return undefined;
  }
}

function noticesOf(result: Result, before: Condition, after: Condition): HookNotice['kind'][] {
  const kinds: HookNotice['kind'][] = [];
  if (result.outcome === 'published') kinds.push('renewal');
  if (after === 'failing' && before === 'well') kinds.push('failure');
  if (after === 'emergency' && before !== 'emergency') kinds.push('emergency');
  if (after === 'well' && before !== 'well') kinds.push('recovery');
  return kinds;
}
