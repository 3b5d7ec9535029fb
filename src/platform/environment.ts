import { redactKeys } from './redact.ts';

/**
 * The environment without what a child has no business with: SSL_CERT_FILE, which OpenSSL takes for its
 * trust store, SSL_KEY_FILE, and whatever is named or looks like a secret.
 */
export function scrubbedEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = Object.entries(env).filter((entry): entry is [string, string] => {
    const [name, value] = entry;
    return value !== undefined && !OURS.test(name) && !SECRET.test(name) && redactKeys(value) === value;
  });
  return Object.fromEntries(kept);
}

const OURS = /^(?:SSL_CERT_FILE|SSL_CERT_DIR|SSL_KEY_FILE|CERT_EAB_.*|NODE_CHANNEL_FD)$/;
const SECRET = /PASS(?:WORD|WD|PHRASE)|SECRET|TOKEN|CREDENTIAL|HMAC|PRIVATE|(?:^|_)(?:API_?)?KEY$/i;
