import type { AcmeProblem } from '../../acme/problem.ts';
import type { ProblemDocument } from '../../acme/resources.ts';
import type { FailureKind } from '../../certificate/fallback.ts';

/** Where in the work on a certificate it happened. */
export type Step = 'directory' | 'account' | 'order' | 'authorization' | 'challenge' | 'finalize' | 'certificate' | 'revocation';

const PREFIX = 'urn:ietf:params:acme:error:';

/** `caa` for `urn:ietf:params:acme:error:caa`; any other type whole. */
export function problemType({ type }: { readonly type: string }): string {
  return type.startsWith(PREFIX) ? type.slice(PREFIX.length) : type;
}

/** What a refusal means for what is done next (RFC 8555 §6.7, RFC 9773 §7.4, profiles extension). */
export function kindOfProblem(problem: AcmeProblem, step: Step): FailureKind {
  if (problem.status === 429) return 'rate-limited';
  if (problem.status === 503) return problem.retryAfter === undefined ? 'server' : 'rate-limited';
  const type = problemType(problem);
  if (type === 'compound') return kindOfCompound(problem.document, step);
  return kindOfType(type, step) ?? kindOfStatus(problem.status, step);
}

/** What a validation or an order failed of, as far as its problem document says (RFC 8555 §8). */
export function kindOfDocument(document: ProblemDocument): FailureKind {
  const type = problemType(document);
  return (type === 'compound' ? kindOfCompound(document, 'challenge') : kindOfType(type, 'challenge')) ?? 'challenge';
}

/** The kind of the subproblem that only a person can mend, where there is one. */
function kindOfCompound(document: ProblemDocument | undefined, step: Step): FailureKind {
  const kinds = (document?.subproblems ?? []).map((one) => kindOfType(problemType(one), step) ?? 'rejected');
  return kinds.find((kind) => kind === 'caa' || kind === 'rejected') ?? kinds[0] ?? 'rejected';
}

function kindOfType(type: string, step: Step): FailureKind | undefined {
  switch (type) {
    case 'rateLimited':
      return 'rate-limited';
    case 'serverInternal':
    case 'badNonce':
      return 'server';
    case 'caa':
      return 'caa';
    case 'connection':
    case 'dns':
    case 'incorrectResponse':
    case 'tls':
      return 'challenge';
    case 'unauthorized':
      return step === 'challenge' ? 'challenge' : 'account';
    case 'accountDoesNotExist':
    case 'userActionRequired':
    case 'invalidContact':
    case 'unsupportedContact':
    case 'badPublicKey':
    case 'badSignatureAlgorithm':
      return 'account';
    case 'externalAccountRequired':
    case 'invalidProfile':
      return 'configuration';
    case 'rejectedIdentifier':
    case 'unsupportedIdentifier':
    case 'badCSR':
    case 'badRevocationReason':
    case 'malformed':
    case 'orderNotReady':
    case 'alreadyReplaced':
      return step === 'account' ? 'account' : 'rejected';
    default:
      return undefined;
  }
}

function kindOfStatus(status: number, step: Step): FailureKind {
  if (status >= 500) return 'server';
  // There is no ACME server behind that URL.
  if (step === 'directory') return 'configuration';
  return status === 401 || status === 403 ? 'account' : 'rejected';
}
