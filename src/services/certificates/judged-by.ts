import type { Ledger } from '../../ledger/ledger.ts';

const DIGEST = 'config-digest';

/** The digest of the configuration that every outlook in the ledger was judged by; undefined when that is not known. */
export function judgedBy(ledger: Ledger): string | undefined {
  return ledger.value(DIGEST) || undefined;
}

/** To be called after a whole pass that nothing interrupted. */
export function noteJudgedBy(ledger: Ledger, { digest }: { readonly digest: string }): void {
  if (judgedBy(ledger) !== digest) ledger.keepValue(DIGEST, digest);
}

/**
 * To be called before an outlook changes because of another configuration: a resident service that has not read the
 * new file yet and `renew` that has take turns at one ledger.
 */
export function forgetJudgedBy(ledger: Ledger): void {
  if (judgedBy(ledger) !== undefined) ledger.keepValue(DIGEST, '');
}
