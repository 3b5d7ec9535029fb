const PRIVATE_KEY = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:(?!-----END)[^"])*(?:-----END [A-Z0-9 ]*PRIVATE KEY-----)?/g;

/**
 * The text without anything that looks like a private key in PEM, whole or cut off, also inside JSON.
 * A last line of defence: nobody is meant to pass keys here.
 */
export function redactKeys(text: string): string {
  return text.includes('PRIVATE KEY-----') ? text.replaceAll(PRIVATE_KEY, '[private key removed]') : text;
}
