import { objectIdentifier, sequence, setOfOne, utf8String } from './der.ts';

const ATTRIBUTES = { commonName: objectIdentifier('2.5.4.3'), organizationName: objectIdentifier('2.5.4.10') } as const;

/** Longest common name, in characters (RFC 5280 appendix A, ub-common-name). */
export const LONGEST_COMMON_NAME = 64;

/** The DER of a distinguished name with the given attributes, in the given order; none gives the empty name. */
export function distinguishedName(attributes: Readonly<Partial<Record<keyof typeof ATTRIBUTES, string>>>): Buffer {
  const parts = Object.entries(attributes) as [keyof typeof ATTRIBUTES, string][];
  return sequence(...parts.map(([attribute, value]) => setOfOne(sequence(ATTRIBUTES[attribute], utf8String(value)))));
}
