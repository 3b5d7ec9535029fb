import { identifiersOf, parseBundle, parseCertificates, uncovered, type Bundle } from '../../certificate/bundle.ts';
import { covers, displayIdentifier, type Identifier } from '../../certificate/identifier.ts';
import { HOUR } from '../../platform/clock.ts';
import { minute } from '../../platform/dates.ts';
import { describeError } from '../../platform/errors.ts';

/** How far a clock may be behind the CA's. */
const CLOCK_ALLOWANCE = HOUR;

/**
 * What was issued, or why it is not what was asked for. What cannot be read is no certificate at all: whoever answered
 * may give it the next time.
 */
export function judgeIssued(
  keyPem: string,
  chainPem: string,
  wanted: readonly Identifier[],
  now: number,
): { readonly bundle: Bundle } | { readonly wrong: string } | { readonly unreadable: string } {
  let bundle: Bundle;
  try {
    if (parseCertificates(chainPem).length === 0) return { unreadable: 'there is no certificate in it' };
  } catch (error) {
    return { unreadable: describeError(error) };
  }
  try {
    bundle = parseBundle(keyPem, chainPem);
  } catch (error) {
    return { wrong: describeError(error) };
  }
  const { leaf } = bundle;
  const missing = uncovered(leaf, wanted);
  if (missing.length > 0) return { wrong: `it does not have ${missing.join(', ')}` };
  const others = identifiersOf(leaf).filter((one) => !covers(wanted, one));
  if (others.length > 0) return { wrong: `it also has ${others.map(displayIdentifier).join(', ')}` };
  const begins = leaf.validFromDate.getTime();
  const ends = leaf.validToDate.getTime();
  if (begins > now + CLOCK_ALLOWANCE) return { wrong: `it begins at ${minute(begins)} only; the clock here says ${minute(now)}` };
  if (ends <= now) return { wrong: `it ended at ${minute(ends)}; the clock here says ${minute(now)}` };
  return { bundle };
}
