import type { ChallengeType } from '../../challenges/solver.ts';
import { good, problem, warning, type Judgement } from './finding.ts';

/** RFC 8659 §4.1; the tag lower-case. */
export interface CaaRecord {
  readonly critical: boolean;
  readonly tag: string;
  readonly value: string;
}

/** The answers on the way from a name to the root, nearest first (RFC 8659 §3). */
export interface CaaStep {
  readonly name: string;
  /** Empty where there is none, also for a name that is not there. */
  readonly records: readonly CaaRecord[];
  /** Why it could not be asked: SERVFAIL, a time-out. */
  readonly failure?: string;
}

export interface CaaQuestion {
  readonly wildcard: boolean;
  /** As the directory names them (RFC 8555 §7.1.1 caaIdentities); empty where it names none, undefined where it did not answer. */
  readonly identities: readonly string[] | undefined;
  readonly challenge: ChallengeType;
  /** The account that will order, without URL where it is still to be made; undefined where it cannot be seen. */
  readonly account: { readonly url: string | undefined } | undefined;
}

/** Tags that CAs know (RFC 8659 §4.2–4.4, RFC 9495, VMC). */
const KNOWN_TAGS: ReadonlySet<string> = new Set(['issue', 'issuewild', 'iodef', 'issuemail', 'issuevmc']);

/** A property that allows a CA, and under which conditions (RFC 8659 §4.2, RFC 8657). */
interface Permission {
  readonly issuer: string;
  readonly parameters: readonly (readonly [string, string])[];
}

/** Whether CAA lets this CA issue, for this account and by this challenge. */
export function judgeCaa(steps: readonly CaaStep[], question: CaaQuestion): Judgement {
  for (const { name, records, failure } of steps) {
    if (failure !== undefined) {
      return problem(
        `the CAA records of ${name} cannot be looked up: ${failure}; CAs refuse then`,
        `make the name servers of ${name} answer queries for CAA, with records or with none (broken DNSSEC and old DNS software fail here)`,
      );
    }
    if (records.length > 0) return judgeSet(name, records, question);
  }
  return good('no CAA record restricts who may issue');
}

function judgeSet(name: string, records: readonly CaaRecord[], question: CaaQuestion): Judgement {
  const unknown = records.find(({ critical, tag }) => critical && !KNOWN_TAGS.has(tag));
  if (unknown !== undefined) {
    return problem(
      `CAA of ${name} has the property ${JSON.stringify(unknown.tag)}, marked critical, which CAs do not know: they refuse`,
      `remove it, or publish it with the flags 0`,
    );
  }
  const tag = question.wildcard && records.some((record) => record.tag === 'issuewild') ? 'issuewild' : 'issue';
  const relevant = records.filter((record) => record.tag === tag);
  if (relevant.length === 0)
    return good(`CAA of ${name} restricts ${question.wildcard ? 'no wildcard' : 'nothing here'} (no ${tag} property)`);
  const permissions = relevant.map(({ value }) => readPermission(value));
  if (question.identities === undefined) {
    return warning(
      `CAA of ${name} lets ${describeIssuers(permissions)} issue, and the CA did not answer who it is`,
      'look again when its directory answers',
    );
  }
  if (question.identities.length === 0) return unnamed(name, permissions);
  const identities = question.identities.map((identity) => identity.toLowerCase());
  const own = permissions.filter((permission) => permission !== undefined && identities.includes(permission.issuer)) as Permission[];
  if (own.length === 0) {
    const allowed = describeIssuers(permissions);
    return problem(
      `CAA of ${name} lets ${allowed} issue, not ${identities.join(' or ')}`,
      `add the record ${name}. CAA 0 ${tag} "${identities[0]}"`,
    );
  }
  const objections = own.map((permission) => objection(name, permission, question));
  const worst = objections.includes(undefined) ? undefined : (objections.find((one) => one?.ok === 'warning') ?? objections[0]);
  return worst ?? good(`CAA of ${name} allows ${own[0]?.issuer}`);
}

/** Why the CA may not use a permission that is made out to it; undefined when it may. */
function objection(name: string, { parameters }: Permission, { challenge, account }: CaaQuestion): Judgement | undefined {
  const values = (wanted: string): string[] => parameters.filter(([tag]) => tag === wanted).map(([, value]) => value);
  const methods = values('validationmethods');
  if (!methods.every((list) => list.split(',').includes(challenge))) {
    return problem(
      `CAA of ${name} allows validation by ${methods.join(' and ')} only, and ${challenge} is configured`,
      `write validationmethods=${challenge} there, or configure a challenge that it names`,
    );
  }
  const [wanted, ...more] = values('accounturi');
  if (more.length > 0) {
    return problem(
      `CAA of ${name} names several accounts in one property, which no account can match (RFC 8657 §3)`,
      'publish one record for each account',
    );
  }
  if (wanted === undefined || wanted === account?.url) return undefined;
  const only = `CAA of ${name} allows the account ${wanted} only`;
  if (account === undefined) {
    return warning(`${only}, and it cannot be seen which account is used`, 'compare it with podserve acme account show');
  }
  if (account.url !== undefined) return problem(`${only}, and the account here is ${account.url}`, `write accounturi=${account.url} there`);
  return problem(
    `${only}, and there is no account yet`,
    'take that account over with podserve import certbot, or remove accounturi until the first order has made an account',
  );
}

function unnamed(name: string, permissions: readonly (Permission | undefined)[]): Judgement {
  return warning(
    `CAA of ${name} lets ${describeIssuers(permissions)} issue, and the CA does not say under which name it looks there`,
    "ask the CA's operator for its CAA identity; most CAs of a house do not look at CAA",
  );
}

function describeIssuers(permissions: readonly (Permission | undefined)[]): string {
  const issuers = new Set(permissions.map((permission) => permission?.issuer ?? '').filter((issuer) => issuer !== ''));
  return issuers.size === 0 ? 'nobody' : [...issuers].join(' and ');
}

/**
 * RFC 8659 §4.2: `[issuer-domain-name] [";" tag "=" value …]`. Undefined when it is malformed, which allows nobody.
 * An empty issuer allows nobody either.
 */
function readPermission(value: string): Permission | undefined {
  const [issuer = '', ...rest] = value.split(';').map((part) => part.trim());
  const parameters: [string, string][] = [];
  for (const part of rest) {
    if (part === '') continue;
    const [, tag, parameter] = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\s*=\s*([\x21-\x3a\x3c-\x7e]*)$/i.exec(part) ?? [];
    if (tag === undefined || parameter === undefined) return undefined;
    parameters.push([tag.toLowerCase(), parameter]);
  }
  return { issuer: issuer.toLowerCase().replace(/\.$/, ''), parameters };
}
