import type { UseKind } from '../../certificate/rate-limits.ts';
import type { Identifier } from '../../certificate/identifier.ts';
import { registeredDomain } from './registered-domain.ts';

/** The exact set of names, in one form: what CAs count duplicates by. */
export function namesKey(identifiers: readonly Identifier[]): string {
  return identifiers
    .map(({ value }) => value)
    .sort()
    .join(',');
}

/** What a CA counts when it issues for these names. */
export async function issuanceUses(identifiers: readonly Identifier[]): Promise<[kind: UseKind, subject: string][]> {
  const domains = new Set(await Promise.all(identifiers.map(registeredDomain)));
  return [...[...domains].map((domain): [UseKind, string] => ['certificate', domain]), ['duplicate', namesKey(identifiers)]];
}
