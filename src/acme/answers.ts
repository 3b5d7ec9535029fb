import { failed, requestName, type Answer } from './exchange.ts';
import { fieldsOf, identifierOf, isObject, type Fields, type Json } from './fields.ts';
import { parseLinks, type Links } from './links.ts';
import { AcmeProblem } from './problem.ts';
import { plainText } from './plain-text.ts';
import type { Polled, ProblemDocument } from './resources.ts';
import { retryAfter } from './retry-after.ts';

const ACME_ERROR = 'urn:ietf:params:acme:error:';
/** RFC 7807 §4.2: what a problem without a type has. */
const NO_TYPE = 'about:blank';
const MOST_SUBPROBLEMS = 100;
const LONGEST_SUBPROBLEMS = 2000;

export const JSON_TYPE = 'application/json';
const PROBLEM_TYPE = 'application/problem+json';
/** RFC 8555 §9.1 */
export const CHAIN_TYPE = 'application/pem-certificate-chain';

/**
 * Lets answers of success pass.
 * @throws AcmeProblem for an error status, with the problem document where there is one (RFC 8555 §6.7)
 * @throws AcmeTransportError `redirect`
 */
export function checked(answer: Answer): Answer {
  const { status, exchange } = answer;
  if (status >= 200 && status < 300) return answer;
  const problem = problemWith(answer);
  if (problem !== undefined) throw problem;
  throw failed(exchange, 'redirect', `it was answered with the redirect ${status}, which is followed for the directory only`);
}

/** What an answer with an error status says (RFC 8555 §6.7); undefined for every other one. */
export function problemWith(answer: Answer): AcmeProblem | undefined {
  const { status, exchange } = answer;
  if (status < 400) return undefined;
  const document = problemIn(answer);
  const request = requestName(exchange);
  return new AcmeProblem({
    type: document === undefined ? '' : shortType(document.type),
    status,
    document,
    retryAfter: waitOf(answer),
    request,
    links: linksOf(answer),
    message: `${request}: ${document === undefined ? `status ${status} without a problem document` : `${status} ${described(document)}`}`,
  });
}

/** The body as the JSON object of a resource. @param what its name, for errors. @throws AcmeTransportError `content-type`, `malformed` */
export function resource(answer: Answer, what: string): Fields {
  requireType(answer, JSON_TYPE);
  const json = parsed(answer);
  if (json === undefined) throw failed(answer.exchange, 'malformed', `the answer is no JSON object, and so no ${what}`);
  return fieldsOf(json, what, answer.exchange);
}

/** @throws AcmeTransportError `content-type` */
export function requireType(answer: Answer, wanted: string): void {
  const type = mediaType(answer);
  if (type === wanted) return;
  throw failed(answer.exchange, 'content-type', `the answer is ${type === '' ? 'without a content type' : type} instead of ${wanted}`);
}

export function polled<T>(answer: Answer, value: T): Polled<T> {
  return { value, retryAfter: waitOf(answer) };
}

export function linksOf({ headers, exchange }: Answer): Links {
  const { link } = headers as { link?: string | string[] };
  return parseLinks(Array.isArray(link) ? link.join(', ') : link, exchange.url);
}

function waitOf({ headers }: Answer): number | undefined {
  return retryAfter(headers['retry-after'], headers.date, Date.now());
}

/** `type/subtype` in lower case, without parameters (RFC 9110 §8.3.1); `''` where there is none. */
function mediaType({ headers }: Answer): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

function parsed({ body }: Answer): Json | undefined {
  try {
    const json: unknown = JSON.parse(body?.toString('utf8') ?? '');
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

/** Some servers label problems as plain JSON: those are taken where their type says that they are one. */
function problemIn(answer: Answer): ProblemDocument | undefined {
  const type = mediaType(answer);
  if (type !== PROBLEM_TYPE && type !== JSON_TYPE) return undefined;
  const json = parsed(answer);
  const problem = problemOf(json);
  return type === JSON_TYPE && problem?.type.startsWith(ACME_ERROR) !== true ? undefined : problem;
}

/** RFC 7807 §3.1 and RFC 8555 §6.7.1; undefined where it is no object. */
export function problemOf(value: unknown): ProblemDocument | undefined {
  if (!isObject(value)) return undefined;
  const text = (name: string): string | undefined => (typeof value[name] === 'string' ? value[name] : undefined);
  const { status, subproblems } = value;
  const listed: unknown[] = Array.isArray(subproblems) ? subproblems.slice(0, MOST_SUBPROBLEMS) : [];
  return {
    type: text('type') ?? NO_TYPE,
    title: text('title'),
    detail: text('detail'),
    status: typeof status === 'number' ? status : undefined,
    identifier: identifierOf(value['identifier']),
    // RFC 8555 §6.7.1: subproblems have none of their own.
    subproblems: listed.filter(isObject).flatMap((one) => problemOf({ ...one, subproblems: [] }) ?? []),
  };
}

/** The part after `urn:ietf:params:acme:error:`, or the whole type. */
function shortType(type: string): string {
  return type.startsWith(ACME_ERROR) ? type.slice(ACME_ERROR.length) : type;
}

/** `rateLimited: too many …`, and what it says of each identifier. */
function described({ type, title, detail, identifier, subproblems }: ProblemDocument): string {
  const subject = identifier === undefined ? '' : `${plainText(identifier.value)}: `;
  const head = `${subject}${plainText(shortType(type))}: ${plainText(detail ?? title ?? 'no detail')}`;
  return subproblems.length === 0 ? head : `${head} (${subproblems.map(described).join('; ').slice(0, LONGEST_SUBPROBLEMS)})`;
}
