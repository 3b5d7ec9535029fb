import type { Authorization, Challenge, Order, ProblemDocument } from '../../acme/resources.ts';
import { IssueFailure } from './failure.ts';
import { kindOfDocument } from './kinds.ts';
import { remedyFor } from './remedies.ts';
import { attemptOf, type Run } from './run.ts';
import { linesOf, wordsOfDocument } from './words.ts';

/** Why one name could not be proven. */
interface Failed {
  readonly name: string;
  readonly why: string;
  readonly error: ProblemDocument | undefined;
}

/**
 * The failure of an order that has come to nothing, from its authorizations and its own error. What failed is counted.
 * @param authorizations as the server has them now
 */
export function orderFailure(run: Run, order: Order, authorizations: readonly Authorization[]): IssueFailure {
  const { place } = run;
  const failed = authorizations.flatMap(failureOf);
  for (const { status, identifier } of authorizations) if (status === 'invalid') place.onUse('failure', identifier.value);
  const error = failed.find((one) => one.error !== undefined)?.error ?? order.error;
  const [first] = failed;
  const attempt = attemptOf(run, 'challenge', first?.name);
  const kind = error === undefined ? (first === undefined ? 'server' : 'challenge') : kindOfDocument(error);
  return new IssueFailure(attempt.what, {
    kind,
    where: first?.name ?? attempt.server,
    why: whyOf(failed, authorizations.length, order),
    remedy: remedyFor(kind, { ...attempt, atDirectory: false, type: '', unpauseUrl: undefined, retryAt: undefined, help: undefined }),
    problems: failed.length > 1 ? failed.map(({ name, why }) => `${name}: ${why}`) : linesOf(error?.subproblems ?? []),
  });
}

function whyOf(failed: readonly Failed[], of: number, { error, status }: Order): string {
  const [first] = failed;
  if (first === undefined) return error === undefined ? `the order is ${status}, without a reason` : wordsOfDocument(error);
  return failed.length === 1 ? first.why : `${failed.length} of ${of} names could not be proven; the first: ${first.why}`;
}

function failureOf({ status, identifier, wildcard, challenges }: Authorization): Failed[] {
  if (status === 'pending' || status === 'valid') return [];
  const name = `${wildcard ? '*.' : ''}${identifier.value}`;
  const challenge: Challenge | undefined =
    challenges.find((one) => one.error !== undefined) ?? challenges.find((one) => one.status === 'invalid');
  if (challenge === undefined) return [{ name, why: `its authorization is ${status}`, error: undefined }];
  const { type, error } = challenge;
  const why = error === undefined ? `its ${type} challenge failed` : `its ${type} challenge failed: ${wordsOfDocument(error)}`;
  return [{ name, why, error }];
}
