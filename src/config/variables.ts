export type Environment = Readonly<Record<string, string | undefined>>;

/** The variable of each setting. */
export const VARIABLES = {
  domain: 'DOMAIN',
  email: 'CERT_EMAIL',
  names: 'CERT_NAMES',
  issuer: 'CERT_ISSUER',
  keyType: 'CERT_KEY_TYPE',
  renewBefore: 'CERT_RENEW_BEFORE',
  consumers: 'CERT_CONSUMERS',
  keyGid: 'CERT_KEY_GID',
  statusHost: 'STATUS_HOST',
  logLevel: 'LOG_LEVEL',
  logFormat: 'LOG_FORMAT',
  challenge: 'CERT_CHALLENGE',
  profile: 'CERT_PROFILE',
  acmeCaFile: 'CERT_ACME_CA_FILE',
  eabKid: 'CERT_EAB_KID',
  eabHmacFile: 'CERT_EAB_HMAC_FILE',
} as const;

/** Those that set fields of the issuer that `CERT_ISSUER` names. */
export const ACME_SETTINGS = ['challenge', 'profile', 'acmeCaFile', 'eabKid', 'eabHmacFile'] as const;

/** The variables that the configuration depends on, in a fixed order, empty ones left out. */
export function relevantVariables(env: Environment): [name: string, value: string][] {
  const read = new Set<string>(Object.values(VARIABLES));
  const names = Object.keys(env).filter((name) => read.has(name) || name.startsWith('CERT_'));
  return names
    .sort()
    .map((name): [string, string] => [name, (env[name] ?? '').trim()])
    .filter(([, value]) => value !== '');
}
