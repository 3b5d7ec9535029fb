import type { AcmeProblem } from '../../acme/problem.ts';
import type { ProblemDocument } from '../../acme/resources.ts';
import { problemType } from './kinds.ts';

/** A server may say as much as it likes; a log line may not. */
const LONGEST = 600;

/** What the server answered, on one line: `rateLimited (429): too many …`. */
export function wordsOf(problem: AcmeProblem): string {
  const { document, status } = problem;
  if (document === undefined) return `the server answered ${status} without saying why`;
  const name = problemType(problem) || document.title || 'it';
  return printable(`${name} (${status}): ${document.detail ?? document.title ?? 'no reason given'}`);
}

/** The same for a problem that is part of a resource. */
export function wordsOfDocument(document: ProblemDocument): string {
  return printable(`${problemType(document) || 'it failed'}: ${document.detail ?? document.title ?? 'no reason given'}`);
}

/** One line for each subproblem, with the name that it is about. */
export function linesOf(subproblems: readonly ProblemDocument[]): string[] {
  return subproblems.map((one) =>
    one.identifier === undefined ? wordsOfDocument(one) : `${printable(one.identifier.value)}: ${wordsOfDocument(one)}`,
  );
}

/** Text of a server without what terminals and logs would take for commands. */
function printable(text: string): string {
  const clean = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  return clean.length > LONGEST ? `${clean.slice(0, LONGEST - 1)}…` : clean;
}
