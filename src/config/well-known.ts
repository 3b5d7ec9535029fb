import { LETSENCRYPT_LIMITS, LETSENCRYPT_STAGING_LIMITS, type RateLimit } from '../certificate/rate-limits.ts';

type WellKnown = 'letsencrypt' | 'letsencrypt-staging';

/** The directories of the ACME servers that need no configuration, by issuer name. */
export const WELL_KNOWN: Readonly<Record<WellKnown, string>> = {
  letsencrypt: 'https://acme-v02.api.letsencrypt.org/directory',
  'letsencrypt-staging': 'https://acme-staging-v02.api.letsencrypt.org/directory',
};

/** The directory of that name, or undefined. */
export function wellKnownDirectory(name: string): string | undefined {
  return Object.hasOwn(WELL_KNOWN, name) ? WELL_KNOWN[name as WellKnown] : undefined;
}

/** Whether a directory is one of Let's Encrypt's, whatever name it is configured under: their rules are known. */
export function isLetsEncrypt(directory: string): boolean {
  return Object.values(WELL_KNOWN).includes(directory);
}

/** The limits that are known of a server, and none of others. */
export function knownLimits(directory: string): readonly RateLimit[] {
  if (directory === WELL_KNOWN.letsencrypt) return LETSENCRYPT_LIMITS;
  return directory === WELL_KNOWN['letsencrypt-staging'] ? LETSENCRYPT_STAGING_LIMITS : [];
}
