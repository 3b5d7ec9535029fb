import { CERTIFICATE_NAME, LOCAL_ISSUERS, isLocalIssuer } from '../certificate/spec.ts';
import { nearest } from './nearest.ts';
import { short, type Place } from './problem.ts';
import { isFlawed, type Scope } from './scope.ts';
import type { Raw } from './shape.ts';
import { WELL_KNOWN, wellKnownDirectory } from './well-known.ts';

/** Finds the issuers that certificates mean. */
export interface IssuerNames {
  /** The issuer's name for what somebody wrote, a name or the URL of a directory; reports what means none. */
  find(text: string, place: Place): string | undefined;
  /** The directories of issuers that were found and have no entry in the file, by name. */
  readonly found: ReadonlyMap<string, string>;
}

/**
 * An issuer given by the URL of its directory is the configured one with that directory, else it is named by the URL's
 * host: the name is that of its account's directory too, so it may not depend on what else is configured.
 */
export function issuerNames(scope: Scope, raw: Raw['issuers']): IssuerNames {
  const configured = Object.entries(raw ?? {}).map(([name, issuer]): [name: string, directory: string | undefined] => {
    return [name, URL.parse(issuer?.directory ?? wellKnownDirectory(name) ?? '')?.href];
  });
  const found = new Map<string, string>();
  const find = (text: string, place: Place): string | undefined => {
    if (isLocalIssuer(text) || configured.some(([name]) => name === text)) return text;
    const known = wellKnownDirectory(text);
    if (known !== undefined) return remember(text, known);
    if (/^[a-z]+:\/\//i.test(text)) return findByUrl(text, place);
    if (!isFlawed(scope, ['issuers'])) reportUnknown(scope, text, place, [...LOCAL_ISSUERS, ...configured.map(([name]) => name)]);
    return undefined;
  };
  const remember = (name: string, directory: string): string => {
    found.set(name, directory);
    return name;
  };
  const findByUrl = (text: string, place: Place): string | undefined => {
    const directory = readDirectory(scope, text, place);
    if (directory === undefined) return undefined;
    const same = [...configured, ...Object.entries(WELL_KNOWN), ...found].find(([, one]) => one === directory);
    if (same !== undefined) return configured.some(([name]) => name === same[0]) ? same[0] : remember(same[0], directory);
    const name = nameOfDirectory(new URL(directory));
    const taken = isLocalIssuer(name) || configured.some(([one]) => one === name) || found.has(name);
    if (!taken) return remember(name, directory);
    scope.report(
      place,
      `${short(directory)} would be named ${name}, and that is another issuer`,
      'configure it in issuers, under a name of its own',
    );
    return undefined;
  };
  return { find, found };
}

/** The URL of an ACME directory in canonical form, reported where it is none. */
export function readDirectory(scope: Scope, text: string, place: Place): string | undefined {
  const url = URL.parse(text);
  const plain = url !== null && url.protocol === 'https:' && url.username === '' && url.password === '' && url.hash === '';
  if (plain) return url.href;
  // Not quoted where it may hold a password.
  const shown = url === null || (url.username === '' && url.password === '') ? JSON.stringify(short(text)) : 'what has a password in it';
  scope.report(place, `${shown} is no https:// URL of an ACME directory`, 'write it like https://ca.example.org/acme/directory');
  return undefined;
}

/** The name of an issuer that was given by the URL of its directory alone. */
export function nameOfDirectory({ host }: URL): string {
  const name = host
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-/, '')
    .slice(0, 63)
    .replace(/-$/, '');
  return CERTIFICATE_NAME.test(name) ? name : 'acme';
}

function reportUnknown(scope: Scope, text: string, place: Place, known: readonly string[]): void {
  const meant = nearest(text, [...new Set([...known, ...Object.keys(WELL_KNOWN)])]);
  const remedy =
    meant === undefined
      ? 'configure it in issuers, or use local-ca, self-signed, letsencrypt or letsencrypt-staging'
      : `did you mean ${meant}?`;
  scope.report(place, `there is no issuer ${JSON.stringify(short(text))}`, remedy);
}
