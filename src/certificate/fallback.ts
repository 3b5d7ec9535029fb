/** Why an ACME server gave no certificate, as far as it decides what is done next. */
export type FailureKind =
  | 'unreachable' // no usable answer: DNS, connection, TLS, time-out, cut, nonsense
  | 'server' // 5xx, serverInternal, badNonce without end, an order that stays in processing
  | 'rate-limited' // rateLimited, 429, 503 with Retry-After, or the own budget
  | 'paused' // the CA paused the account or identifier until a person acts
  | 'challenge' // a validation failed: connection, dns, incorrectResponse, unauthorized, tls
  | 'solver' // the answer to a challenge could not be put in place
  | 'caa' // CAA forbids this CA
  | 'rejected' // rejectedIdentifier, unsupportedIdentifier, badCSR, malformed: the order as such is refused
  | 'account' // account deactivated, unauthorized, userActionRequired, externalAccountRequired
  | 'configuration' // what is configured is not offered: profile, challenge type, EAB
  | 'bad-certificate'; // what was issued is not what was asked for

/** Trouble that passes by itself is given the tries of the first two hours. */
const PATIENCE = 3;
const MAY_PASS: ReadonlySet<FailureKind> = new Set(['unreachable', 'server', 'challenge', 'solver']);

/**
 * Whether the next issuer of the list is asked in the same pass after one has failed.
 *
 * At once where this issuer cannot or will not, whatever is repeated: it counts, refuses the order or the account,
 * does not offer what is configured, CAA forbids it, or what it issues is wrong.
 *
 * Only from the third failure in a row, or where nothing valid is served, when the trouble may be over in a minute (no
 * answer, a 5xx) or is our own (a challenge that was not met, an answer that could not be put in place). What a later
 * issuer signs stays until its own renewal, for weeks: five bad minutes of a CA shall not buy that, nor a machine
 * that comes up past the emergency line before its network does. Nor a closed port 80 at the first start: a placeholder
 * serves meanwhile, and the same challenge fails with most other servers too, which count it as a failed validation.
 * Rejected: going over to a local issuer at once after a failed challenge. It gives nothing that the placeholder does
 * not give already, and that the port was opened a minute later would be found out months later.
 * @param failures in a row, this one counted
 * @param nothingServed what is published is missing, damaged or expired, and no placeholder stands in
 */
export function fallsBack(kind: FailureKind | undefined, failures: number, nothingServed: boolean): boolean {
  return nothingServed || failures >= PATIENCE || kind === undefined || !MAY_PASS.has(kind);
}
