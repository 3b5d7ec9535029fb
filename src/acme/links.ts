import { LONGEST_URL } from './fields.ts';

/** URLs by relation type, in the order of the answer. */
export type Links = Readonly<Record<string, readonly string[]>>;

const TARGET = /[\s,]*<([^<>]*)>/y;
const PARAMETER = /\s*;\s*([^\s=;,"<>]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"<>]*)))?/y;

/**
 * `Link` header fields by relation type (RFC 8288 §3), relative references resolved. What cannot be read, and what is
 * no http or https URL, is left out.
 * @param value several fields joined by `, `, as node:http gives them
 * @param base the URL that was requested
 */
export function parseLinks(value: string | undefined, base: string): Links {
  const byRelation = new Map<string, string[]>();
  const text = value ?? '';
  for (let at = 0; at < text.length;) {
    const target = matchAt(TARGET, text, at);
    if (target === undefined) break;
    at = target.end;
    let relations: string | undefined;
    for (let found = matchAt(PARAMETER, text, at); found !== undefined; found = matchAt(PARAMETER, text, at)) {
      at = found.end;
      const [name, quoted, plain] = found.groups;
      if (name?.toLowerCase() === 'rel') relations ??= quoted ?? plain ?? '';
    }
    const url = webUrl(target.groups[0] ?? '', base);
    if (url === undefined) continue;
    for (const relation of (relations ?? '').toLowerCase().split(/\s+/).filter(Boolean)) {
      const known = byRelation.get(relation);
      if (known === undefined) byRelation.set(relation, [url]);
      else known.push(url);
    }
  }
  return Object.fromEntries(byRelation);
}

function matchAt(pattern: RegExp, text: string, at: number): { groups: (string | undefined)[]; end: number } | undefined {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  return match === null ? undefined : { groups: match.slice(1), end: pattern.lastIndex };
}

/** The URL in full where it is one of http or https. */
export function webUrl(reference: string, base?: string): string | undefined {
  const url = reference.length > LONGEST_URL ? null : URL.parse(reference, base);
  return url !== null && /^https?:$/.test(url.protocol) ? url.href : undefined;
}
