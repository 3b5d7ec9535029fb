import { failed, type Exchange } from './exchange.ts';
import type { AcmeTransportError } from './problem.ts';
import type { AcmeIdentifier } from './resources.ts';

/** A JSON object as it came. */
export type Json = Readonly<Record<string, unknown>>;

/** Reads the fields of one resource; what has to be there and is not in order is an error that names it. */
export interface Fields {
  readonly json: Json;
  /** Undefined where the field is missing, null or no text. */
  text(name: string): string | undefined;
  /** @throws AcmeTransportError `malformed` */
  url(name: string): string;
  /** Undefined where it is missing, null or empty. @throws AcmeTransportError `malformed` */
  optionalUrl(name: string): string | undefined;
  /** @throws AcmeTransportError `malformed` */
  oneOf<const T extends string>(name: string, values: readonly T[]): T;
  /** RFC 3339, ms since the epoch; undefined where it is missing or null. @throws AcmeTransportError `malformed` */
  optionalTime(name: string): number | undefined;
  /** @throws AcmeTransportError `malformed` */
  array(name: string): readonly unknown[];
  wrong(why: string): AcmeTransportError;
}

/** No order is for nearly as many names, and each is a request more. */
const LONGEST_LIST = 1000;

/** @param what the resource's name, for errors */
export function fieldsOf(json: Json, what: string, exchange: Exchange): Fields {
  const wrong = (why: string): AcmeTransportError => failed(exchange, 'malformed', `the answer is no ${what} of RFC 8555: ${why}`);
  const text = (name: string): string | undefined => (typeof json[name] === 'string' ? json[name] : undefined);
  const fields: Fields = {
    json,
    text,
    wrong,
    url(name) {
      const value = text(name);
      if (value === undefined) throw wrong(`it has no URL in "${name}"`);
      if (!isHttps(value)) throw wrong(`"${name}" is no https URL`);
      return value;
    },
    optionalUrl: (name) => (json[name] === undefined || json[name] === null || json[name] === '' ? undefined : fields.url(name)),
    oneOf(name, values) {
      const found = values.find((value) => value === json[name]);
      if (found === undefined) throw wrong(`its "${name}" is none of ${values.join(', ')}`);
      return found;
    },
    optionalTime(name) {
      if (json[name] === undefined || json[name] === null) return undefined;
      const time = timeOf(json[name]);
      if (time === undefined) throw wrong(`"${name}" is no date of RFC 3339`);
      return time;
    },
    array(name) {
      const value = json[name];
      if (!Array.isArray(value)) throw wrong(`it has no list in "${name}"`);
      if (value.length > LONGEST_LIST) throw wrong(`the list in "${name}" is longer than ${LONGEST_LIST}`);
      return value;
    },
  };
  return fields;
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** No server's is nearly as long, and they get into error messages. */
export const LONGEST_URL = 2048;

/** Whether the text is an absolute https URL in plain ASCII (RFC 3986 §2) without credentials in it, and not without end. */
export function isHttps(text: string): boolean {
  if (text.length > LONGEST_URL) return false;
  const url = /^https:\/\/[\x21-\x7e]+$/i.test(text) ? URL.parse(text) : null;
  return url !== null && url.username === '' && url.password === '';
}

/** Those members of a list that are texts. */
export function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** A name of DNS or an address, as far as its characters go: programs are called with it, and terminals show it. */
const IDENTIFIER = /^[A-Za-z0-9_*.:-]{1,255}$/;

/** RFC 8555 §7.1.4 and RFC 8738 §3; undefined for other types. */
export function identifierOf(value: unknown): AcmeIdentifier | undefined {
  if (!isObject(value) || typeof value['value'] !== 'string' || !IDENTIFIER.test(value['value'])) return undefined;
  const type = value['type'];
  return type === 'dns' || type === 'ip' ? { type, value: value['value'] } : undefined;
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** RFC 3339 §5.6, ms since the epoch, or undefined. */
export function timeOf(value: unknown): number | undefined {
  const text = typeof value === 'string' ? value.toUpperCase() : '';
  const time = RFC_3339.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
