import { AcmeProblem, AcmeTransportError } from '../../acme/problem.ts';
import type { ProblemDocument } from '../../acme/resources.ts';
import type { Identifier } from '../../certificate/identifier.ts';
import { PodserveError, errorLines } from '../../platform/errors.ts';
import type { FailureKind } from '../../certificate/fallback.ts';
import { IssueFailure } from './failure.ts';
import { kindOfProblem, problemType, type Step } from './kinds.ts';
import { remedyFor } from './remedies.ts';
import { unpauseUrl, waitUntil } from './rate-limit-words.ts';
import { linesOf, wordsOf } from './words.ts';

/** What was attempted when something went wrong. */
export interface Attempt {
  /** In one clause, as it failed: `letsencrypt gave no certificate for default`. */
  readonly what: string;
  readonly issuer: string;
  /** Directory URL. */
  readonly server: string;
  readonly step: Step;
  /** What it is about, where that is one name or file. */
  readonly subject?: string;
  /** All that were to be certified. */
  readonly identifiers?: readonly Identifier[];
  /** ms since the epoch */
  readonly now: number;
}

/**
 * What went wrong in an exchange with the server, as what decides and what a person reads. The signal's reason and
 * errors that have nothing to do with the server are given back as they are.
 */
export function classify(error: unknown, attempt: Attempt): unknown {
  if (error instanceof AcmeProblem) return refused(error, attempt);
  if (error instanceof AcmeTransportError) return unanswered(error, attempt);
  return error;
}

/** For `.catch`: throws what `classify` makes of the error. */
export function failing(attempt: Attempt): (error: unknown) => never {
  return (error) => {
    throw classify(error, attempt);
  };
}

/** The problem document that a failure came from, also where it has been classified already. */
export function problemIn(error: unknown): AcmeProblem | undefined {
  if (error instanceof AcmeProblem) return error;
  return error instanceof IssueFailure && error.cause instanceof AcmeProblem ? error.cause : undefined;
}

/** The failure of a solver. Anything that is not meant for people is given back as it is. */
export function unsolved(error: unknown, attempt: Attempt): unknown {
  if (!(error instanceof PodserveError)) return error;
  const [why = error.message] = errorLines(error);
  return new IssueFailure(attempt.what, {
    kind: 'solver',
    where: attempt.subject ?? attempt.issuer,
    why,
    problems: error.problems,
    cause: error,
  });
}

function refused(problem: AcmeProblem, attempt: Attempt): IssueFailure {
  const unpause = unpauseUrl(problem);
  const kind = unpause === undefined ? kindOfProblem(problem, attempt.step) : 'paused';
  const retryAt = waitUntil(problem, attempt.now);
  const identifiers = attempt.identifiers ?? [];
  const scope = isIssuerWide(kind) && !concernsNames(problem.document, identifiers) ? 'issuer' : 'certificate';
  return new IssueFailure(attempt.what, {
    kind,
    scope,
    ...(retryAt === undefined ? {} : { retryAt }),
    ...(unpause === undefined ? {} : { unpauseUrl: unpause }),
    where: attempt.subject ?? attempt.server,
    why: `${step(attempt.step)}: ${wordsOf(problem)}`,
    remedy: remedyFor(kind, {
      ...attempt,
      atDirectory: attempt.step === 'directory',
      type: problemType(problem),
      unpauseUrl: unpause,
      retryAt,
      help: helpOf(problem),
    }),
    problems: linesOf(problem.document?.subproblems ?? []),
    cause: problem,
  });
}

function unanswered(error: AcmeTransportError, attempt: Attempt): IssueFailure {
  const kind: FailureKind = error.fault === 'nonce' ? 'server' : 'unreachable';
  return new IssueFailure(attempt.what, {
    kind,
    scope: 'issuer',
    where: attempt.server,
    why: `${step(attempt.step)}: ${error.message}`,
    remedy: remedyFor(kind, {
      ...attempt,
      atDirectory: attempt.step === 'directory',
      type: error.fault,
      unpauseUrl: undefined,
      retryAt: undefined,
      help: undefined,
    }),
    cause: error,
  });
}

/** Where the CA says more: changed terms, above all (RFC 8555 §7.3.3). */
function helpOf({ links }: AcmeProblem): string | undefined {
  return links['terms-of-service']?.[0] ?? links['help']?.[0];
}

function isIssuerWide(kind: FailureKind): boolean {
  return ['unreachable', 'server', 'rate-limited', 'paused', 'account', 'configuration'].includes(kind);
}

/** Whether the server speaks of some of these names: its limits per name leave other certificates alone. */
function concernsNames(document: ProblemDocument | undefined, identifiers: readonly Identifier[]): boolean {
  if (document === undefined || identifiers.length === 0) return false;
  if (document.identifier !== undefined || document.subproblems.some(({ identifier }) => identifier !== undefined)) return true;
  const said = (document.detail ?? '').replaceAll(/https?:\/\/\S+/g, '').toLowerCase();
  if (said.includes('exact set')) return true;
  const named = said.match(/[a-z0-9_-]+(?:\.[a-z0-9_-]+)+|[0-9a-f]*:[0-9a-f:.]+/g) ?? [];
  return identifiers.some(({ value }) => named.some((name) => value === name || value.endsWith(`.${name}`)));
}

function step(name: Step): string {
  return STEPS[name];
}

const STEPS: Readonly<Record<Step, string>> = {
  directory: 'the directory',
  account: 'the account',
  order: 'the new order',
  authorization: 'the authorizations',
  challenge: 'the challenge',
  finalize: 'the finalization',
  certificate: 'the download',
  revocation: 'the revocation',
};
