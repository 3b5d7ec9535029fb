import { redactKeys } from './redact.ts';

const LONGEST_QUOTE = 500;
/** What was cut off at its beginning still ends like a key. */
const KEY_TAIL = /^[^]*-----END [A-Z0-9 ]*PRIVATE KEY-----/;
const CREDENTIAL =
  /\b((?:authorization|bearer|[\w-]*(?:token|secret|passw(?:or)?d|key))["']?\s*[:=]\s*["']?(?:(?:bearer|basic)\s+)?|bearer\s+)[^\s"',&]+/gi;

/** The end of what a program wrote, for one line, without what looks like a secret: scripts print requests when they fail. */
export function lastWords(output: string): string {
  const line = redactKeys(output)
    .replace(KEY_TAIL, '[private key removed]')
    .replaceAll(CREDENTIAL, '$1[removed]')
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\uFFFD]+/gu, ' ')
    .trim();
  return JSON.stringify(line.length > LONGEST_QUOTE ? `…${line.slice(-LONGEST_QUOTE)}` : line);
}
