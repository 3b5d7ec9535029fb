import { createSecureContext } from 'node:tls';

import { fullchainPem, uncovered, type Bundle } from '../../certificate/bundle.ts';
import type { Identifier } from '../../certificate/identifier.ts';
import { messageOf } from '../../platform/errors.ts';

/** What a consumer thinks of a bundle that it could serve. */
export type Verdict =
  | { readonly take: true; /** What is wrong with it and yet better than what is served. */ readonly warnings: readonly string[] }
  | { readonly take: false; readonly why: string; /** When it may look better, ms since the epoch. */ readonly notBefore?: number };

/** The dates of what is served now, ms since the epoch. */
export interface Dates {
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * Whether a bundle shall replace what is served. Key, leaf and chain belong together already (`parseBundle`);
 * here it is asked whether a TLS server of this system can load it and whether its dates make nothing worse:
 * one that is not valid now never replaces one that is. A name that is not covered is a warning, since the
 * other names are better off.
 * @param served undefined when nothing is served yet: then anything that loads is better
 */
export function judgeBundle(bundle: Bundle, served: Dates | undefined, wanted: readonly Identifier[], now: number): Verdict {
  const unusable = loadFailure(bundle);
  if (unusable !== undefined) return { take: false, why: `a TLS server cannot load it (${unusable})` };
  const dates = datesOf(bundle);
  const warnings: string[] = [];
  const missing = uncovered(bundle.leaf, wanted);
  if (missing.length > 0) warnings.push(`it is not for ${missing.join(', ')}`);
  if (validAt(dates, now)) return { take: true, warnings };

  const tooEarly = dates.notBefore > now;
  const why = tooEarly ? `it is not valid before ${iso(dates.notBefore)}` : `it expired at ${iso(dates.notAfter)}`;
  if (served !== undefined && validAt(served, now)) {
    return { take: false, why: `${why}, and what is served is valid`, ...(tooEarly ? { notBefore: dates.notBefore } : {}) };
  }
  if (served !== undefined && dates.notAfter <= served.notAfter) {
    return { take: false, why: `${why}, and what is served is no worse`, ...(tooEarly ? { notBefore: dates.notBefore } : {}) };
  }
  return { take: true, warnings: [why, ...warnings] };
}

/** The dates of the leaf, ms since the epoch. */
export function datesOf(bundle: Bundle): Dates {
  return { notBefore: bundle.leaf.validFromDate.getTime(), notAfter: bundle.leaf.validToDate.getTime() };
}

/** Whether `now` lies within the dates. */
export function validAt(dates: Dates, now: number): boolean {
  return dates.notBefore <= now && now < dates.notAfter;
}

/** Debian's OpenSSL wants 112 bits of everything (security level 2) and ends a daemon that is given less. */
function loadFailure(bundle: Bundle): string | undefined {
  try {
    createSecureContext({ key: bundle.privateKeyPem, cert: fullchainPem(bundle), ciphers: 'DEFAULT@SECLEVEL=2' });
    return undefined;
  } catch (error) {
    // OpenSSL's reason ("ee key too small") without anything else.
    return error instanceof Error && 'reason' in error ? String(error.reason) : messageOf(error).split(':').at(-1);
  }
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
