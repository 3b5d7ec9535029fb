import type { ChallengeType } from '../../challenges/solver.ts';
import { scopeOf, type Scope, type Vantage } from './address.ts';
import { good, problem, warning, type Judgement } from './finding.ts';

/** What DNS said when one type of address was asked for. */
export type AddressLookup =
  | { readonly state: 'found'; readonly addresses: readonly string[] }
  /** The name is there, without addresses of this type. */
  | { readonly state: 'none' }
  /** NXDOMAIN */
  | { readonly state: 'missing' }
  /** SERVFAIL, REFUSED, or no answer. */
  | { readonly state: 'failed'; readonly why: string };

export interface Resolution {
  readonly name: string;
  readonly a: AddressLookup;
  readonly aaaa: AddressLookup;
}

const SCOPE_WORDS: Readonly<Record<Exclude<Scope, 'public'>, string>> = {
  private: 'a private address',
  loopback: 'a loopback address',
  'link-local': 'a link-local address',
  reserved: 'a reserved address',
};

/** Addresses are what http-01 and tls-alpn-01 come in by (RFC 8555 §8.3, RFC 8737 §3); dns-01 needs none. */
export function judgeResolution({ name, a, aaaa }: Resolution, challenge: ChallengeType, vantage: Vantage): Judgement[] {
  if (challenge === 'dns-01') return [];
  const addresses = [a, aaaa].flatMap((lookup) => (lookup.state === 'found' ? lookup.addresses : []));
  const judgements: Judgement[] = [...failure(name, 'A', a), ...failure(name, 'AAAA', aaaa)];
  if (addresses.length === 0 && judgements.length === 0) judgements.push(unresolved(name, a, challenge));
  if (addresses.length === 0) return judgements;
  const odd = addresses.map((address) => judgeAddress(address, vantage)).filter((one) => one !== undefined);
  return [...judgements, ...(odd.length === 0 ? [good(`resolves to ${addresses.join(' and ')}`)] : odd)];
}

/** Undefined where nothing is wrong with it. */
function judgeAddress(address: string, vantage: Vantage): Judgement | undefined {
  const record = address.includes(':') ? 'AAAA' : 'A';
  return judgeScope(address, vantage, `point the ${record} record at an address that the internet reaches, or use challenge: dns-01`);
}

/** An address that is to stand in the certificate itself. */
export function judgeOwnAddress(address: string, vantage: Vantage): Judgement {
  return judgeScope(address, vantage, 'let the built-in CA (local-ca) certify it') ?? good('needs no DNS');
}

function judgeScope(address: string, vantage: Vantage, remedy: string): Judgement | undefined {
  const scope = scopeOf(address);
  if (scope === 'public' || vantage === 'house') return undefined;
  const what = `${address} is ${SCOPE_WORDS[scope]}`;
  if (vantage === 'internet') return problem(`${what}: a public CA cannot reach it`, remedy);
  return warning(`${what}: only a CA of this network reaches it`, `if the CA is elsewhere, ${remedy}`);
}

function failure(name: string, type: 'A' | 'AAAA', lookup: AddressLookup): Judgement[] {
  if (lookup.state !== 'failed') return [];
  const remedy = `see what the name servers of ${name} answer to a query for ${type}: they must answer, also that there is none`;
  return [problem(`looking up its ${type} records failed: ${lookup.why}`, remedy)];
}

function unresolved(name: string, a: AddressLookup, challenge: ChallengeType): Judgement {
  const what = a.state === 'missing' ? 'does not exist in DNS' : 'has neither an A nor an AAAA record';
  return problem(what, `add an A record (IPv4) or AAAA record (IPv6) for ${name} that leads here: ${challenge} comes in by it`);
}
