import type { KeyObject } from 'node:crypto';

import type { Account } from '../../acme/resources.ts';
import { failing, problemIn, type Attempt } from './classify.ts';
import { problemType } from './kinds.ts';
import type { AccountPlace } from './place.ts';

/** The account of a key (RFC 8555 §7.3.1), or undefined where the server has none. @throws IssueFailure; the signal's reason */
export async function findAccount(
  { client }: AccountPlace,
  key: KeyObject,
  attempt: Attempt,
  signal: AbortSignal,
): Promise<Account | undefined> {
  const request = { contact: [], termsOfServiceAgreed: true, onlyReturnExisting: true };
  try {
    return await client.newAccount(key, request, signal);
  } catch (error) {
    return isUnknownAccount(error) ? undefined : failing(attempt)(error);
  }
}

/** Whether the server says that it knows no such account. */
export function isUnknownAccount(error: unknown): boolean {
  const problem = problemIn(error);
  return problem !== undefined && problemType(problem) === 'accountDoesNotExist';
}
