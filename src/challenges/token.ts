import { PodserveError } from '../platform/errors.ts';

/** Where http-01 tokens are asked for (RFC 8555 §8.3). */
export const CHALLENGE_PATH = '/.well-known/acme-challenge/';

/** base64url (RFC 8555 §8.3); the length leaves room for what a temporary file's name adds. */
const TOKEN = /^[A-Za-z0-9_-]{1,200}$/;

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/**
 * The token, which becomes a file name or a path: it comes from the CA.
 * @throws PodserveError CHALLENGE_FAILED
 */
export function checkedToken(token: string): string {
  if (isToken(token)) return token;
  const shown = token.length > 60 ? `${token.slice(0, 57)}…` : token;
  throw new PodserveError('CHALLENGE_FAILED', 'the token of a challenge is refused', {
    where: JSON.stringify(shown),
    why: 'tokens are 1 to 200 letters, digits, hyphens and underscores (RFC 8555 §8.3)',
    remedy: 'tell whoever runs the ACME server; nothing is wrong here',
  });
}
