import { PodserveError } from '../../platform/errors.ts';

/**
 * A value from outside as one quoted argument of an Apache directive. Apache ends arguments and lines at quotes
 * and control characters, expands `${…}` even within quotes, takes `$1` in some directives and `*?[` in others:
 * a value with any of them is refused, because not all of them can be escaped everywhere.
 * @param what says in the error where the value came from
 * @throws PodserveError CONFIG_INVALID
 */
export function quoted(value: string, what: string): string {
  return refusing(/[\p{Cc}"\\$*?[\]]/u, value, what);
}

/** The same for a URL as `URL.href` writes it, where brackets are those of an IPv6 address. @throws PodserveError CONFIG_INVALID */
export function quotedUrl(href: string, what: string): string {
  return refusing(/[\p{Cc}"\\$*?]/u, href, what);
}

function refusing(forbidden: RegExp, value: string, what: string): string {
  const bad = forbidden.exec(value)?.[0];
  if (bad === undefined) return `"${value}"`;
  throw new PodserveError('CONFIG_INVALID', "this value cannot stand in Apache's configuration", {
    where: what,
    why: `${JSON.stringify(value)} has the character ${JSON.stringify(bad)}`,
    remedy: 'use a path or name without it',
  });
}

/**
 * A server name, wildcard or address as Apache's ServerName and ServerAlias take it.
 * @throws PodserveError CONFIG_INVALID
 */
export function hostName(value: string): string {
  if (/^(?:\*\.)?[a-z0-9._:-]+$/.test(value)) return value;
  throw new PodserveError('CONFIG_INVALID', 'this is no name of a site', {
    where: 'apache.sites',
    why: JSON.stringify(value),
    remedy: 'write a DNS name in A-labels or an address',
  });
}

/** A block with its lines indented. */
export function block(opening: string, lines: readonly string[]): string[] {
  const tag = opening.split(' ')[0];
  return [`<${opening}>`, ...lines.map((line) => `  ${line}`), `</${tag}>`];
}
