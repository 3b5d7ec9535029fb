import type { Condition, Event, Failure, Outlook } from '../../ledger/ledger.ts';
import { IssueFailure } from '../../issuers/acme/failure.ts';
import { MINUTE } from '../../platform/clock.ts';
import { describeError } from '../../platform/errors.ts';
import { forgetJudgedBy } from './judged-by.ts';
import type { Look } from './look.ts';
import { outlookOf } from './outlook.ts';
import type { Result } from './result.ts';
import type { HookNotice } from '../event-hook.ts';
import type { CertificateService } from './service.ts';

/** An order that a killed process left is taken up by the next after this time at the latest; a start does so at once. */
const LONGEST_ORDER = 15 * MINUTE;

/**
 * Writes down what became of a certificate, and tells whoever wants to know of a change: a renewal each time,
 * a failure, an emergency and a recovery when they begin, not while they last.
 */
export function settle(service: CertificateService, result: Result, now: number): void {
  const { ledger, log } = service;
  const { name } = result.spec;
  const before = ledger.outlook(name);
  const failing = result.outcome === 'failed' || (result.outcome === 'placeholder' && ledger.failure(name) !== undefined);
  const outlook = outlookOf(result.spec, result.link, result.current, result.decision, failing, service.config.issuers);
  if (result.outcome === 'failed') {
    const known = ledger.failure(name);
    // An issuer was asked, or the time to ask would be another.
    const count = (known?.count ?? 0) + (result.retryAt !== undefined && result.retryAt === known?.retryAt ? 0 : 1);
    ledger.keepFailure(name, {
      count,
      at: now,
      retryAt: result.retryAt ?? result.decision.nextLook,
      message: describeError(result.error),
      issuer: result.askedLast,
      ...blame(result.error),
    });
  } else if (endsFailure(result)) {
    ledger.clearFailure(name);
  }
  if (before?.specDigest !== outlook.specDigest) forgetJudgedBy(ledger);
  ledger.keepOutlook(outlook);
  const notices = noticesOf(result, before?.condition ?? 'well', outlook.condition);
  const event = eventOf(result, before, now, notices.length > 0);
  if (event === undefined) return;
  ledger.record(event);
  const fields = { certificate: name, reason: event.reason, generation: event.generation };
  // What an issuer refused is in the log already, with all that was tried.
  if (result.outcome === 'failed' && result.retryAt === undefined) log.warn(fields, event.detail);
  else if (result.outcome !== 'failed') log.info(fields, event.detail);
  for (const kind of notices) service.notify({ kind, certificate: name, event });
}

/**
 * Writes down that these are attended to, so that nobody else takes them up meanwhile. How they stand is what it was:
 * neither has anything failed nor is anything well again.
 */
export function settleUnderWay({ ledger, config }: CertificateService, looks: readonly Pick<Look, 'spec' | 'result'>[], now: number): void {
  ledger.together(() => {
    for (const { spec, result } of looks) {
      const outlook = outlookOf(spec, result.link, result.current, result.decision, false, config.issuers);
      const condition = ledger.outlook(spec.name)?.condition ?? outlook.condition;
      ledger.keepOutlook({ ...outlook, condition, nextLook: now + LONGEST_ORDER });
    }
  });
}

/** A placeholder ends no failure, and neither does what is put in its place until the order. */
function endsFailure({ outcome, decision }: Result): boolean {
  if (outcome === 'waiting' || outcome === 'placeholder') return false;
  return outcome !== 'restored' || decision.action === 'restore';
}

function blame(error: unknown): Pick<Failure, 'kind' | 'link'> {
  return error instanceof IssueFailure ? { kind: error.kind, link: error.unpauseUrl } : {};
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
        detail: `generation ${manifest?.generation} of ${manifest?.issuer} published; before: ${decision.detail}`,
      };
    case 'placeholder':
      return {
        ...about,
        kind: 'placeholder',
        detail: `generation ${manifest?.generation}, a placeholder of the built-in CA, published; before: ${decision.detail}`,
      };
    case 'rehearsed':
      return { ...about, kind: 'rehearsed', reason: 'rehearsed', detail: decision.detail };
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
