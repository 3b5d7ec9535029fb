import type { Identifier } from '../../certificate/identifier.ts';

/**
 * What CAs count certificates by: the name below the public suffix (publicsuffix.org, private suffixes included, as
 * Let's Encrypt has it); an address, and a name that has none, by itself.
 */
export async function registeredDomain({ type, value }: Identifier): Promise<string> {
  if (type === 'ip') return value;
  const { getDomain } = await import('tldts');
  const name = value.replace(/^\*\./, '');
  return getDomain(name, { allowPrivateDomains: true, validateHostname: false }) ?? name;
}
