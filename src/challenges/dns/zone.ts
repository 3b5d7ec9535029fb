import type { Identifier } from '../../certificate/identifier.ts';
import { formatListen } from '../../config/listen.ts';
import { PodserveError, describeError } from '../../platform/errors.ts';
import { DnsFailure } from './exchange.ts';
import { canonicalName, isWithin, nameAndParents } from './name.ts';
import { resolve, type DnsAnswer, type QueryType } from './query.ts';

/** How questions about the public DNS are asked. */
export interface Asking {
  /** `host:port` of recursive servers; empty: the system's. */
  readonly resolvers: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** A name server of a zone, with the addresses that the resolvers know. */
export interface NameServer {
  readonly name: string;
  /** `host:53` each; empty where its name has no address. */
  readonly addresses: readonly string[];
}

/** More links than any resolver follows. */
const LONGEST_CHAIN = 16;
/** A zone has 13 name servers at most in practice; a hostile answer may list thousands. */
const MOST_SERVERS = 32;

/**
 * Where the CA looks for the answer (RFC 8555 §8.4): `_acme-challenge.` and the name, without a wildcard's `*.`.
 * @throws PodserveError CHALLENGE_FAILED for an address, which has no name to put anything under
 */
export function challengeName({ type, value }: Identifier): string {
  if (type === 'dns') return `_acme-challenge.${value.replace(/^\*\./, '')}`;
  throw new PodserveError('CHALLENGE_FAILED', 'an address cannot be proven by dns-01', {
    where: value,
    why: 'RFC 8738 §7 leaves http-01 and tls-alpn-01 for addresses',
    remedy: 'put the address in a certificate of an issuer with http-01 or tls-alpn-01',
  });
}

/**
 * Follows the CNAMEs that start at `name`, through any number of zones.
 * @returns `name` first and the name that holds or would hold the records last: one name where there is no CNAME
 * @throws PodserveError CHALLENGE_FAILED when they lead in a circle, or the resolvers do not answer; the signal's reason
 */
export async function followChallenge(name: string, asking: Asking): Promise<string[]> {
  const chain = [canonicalName(name)];
  for (;;) {
    const at = chain.at(-1) ?? name;
    const { answers } = await ask(at, 'CNAME', asking);
    const link = answers.find((record) => record.type === 'CNAME' && record.name === at);
    if (link?.type !== 'CNAME') return chain;
    if (chain.includes(link.target) || chain.length > LONGEST_CHAIN) {
      throw new PodserveError('CHALLENGE_FAILED', 'the CNAME records of a challenge lead nowhere', {
        where: name,
        why: `${chain.includes(link.target) ? 'they lead in a circle' : 'there are too many'}: ${[...chain, link.target].join(' → ')}`,
        remedy: 'let the last of them point to a name that has no CNAME',
      });
    }
    chain.push(link.target);
  }
}

/**
 * The apex of the zone that `name` lies in, as the resolvers see it. A name that does not exist has a zone too.
 * @throws PodserveError CHALLENGE_FAILED when the resolvers do not answer, or know no zone; the signal's reason
 */
export async function findZone(name: string, asking: Asking): Promise<string> {
  const wanted = canonicalName(name);
  for (const candidate of [...nameAndParents(wanted), '.']) {
    const zone = zoneOf(await ask(candidate, 'SOA', asking), candidate);
    if (zone !== undefined) return zone;
  }
  throw new PodserveError('CHALLENGE_FAILED', 'the zone of a challenge was not found', {
    where: wanted,
    why: 'the resolvers know no SOA record at it or above it',
    remedy: 'register the domain, or name resolvers that know it in resolvers',
  });
}

/**
 * The apex that an answer to a question for SOA shows: at the name itself, or in what a server says to explain that
 * there is none (RFC 2308 §2). Undefined where it shows none, and behind a CNAME, where the SOA is the other end's.
 */
export function zoneOf({ answers, authorities }: DnsAnswer, name: string): string | undefined {
  if (answers.some(({ type }) => type === 'CNAME')) return undefined;
  return [...answers, ...authorities].find((record) => record.type === 'SOA' && isWithin(name, record.name))?.name;
}

/**
 * The name servers of a zone and their addresses, as the resolvers see them.
 * @throws PodserveError CHALLENGE_FAILED when the resolvers do not answer, or the zone has no name servers; the signal's reason
 */
export async function authoritativeServers(zone: string, asking: Asking): Promise<NameServer[]> {
  const { answers } = await ask(zone, 'NS', asking);
  const names = answers.flatMap((record) => (record.type === 'NS' && record.name === zone ? [record.target] : []));
  if (names.length === 0) {
    throw new PodserveError('CHALLENGE_FAILED', 'the name servers of a zone were not found', {
      where: zone,
      why: 'the resolvers know no NS record at it',
      remedy: 'name the servers to ask in dns01.propagation.servers, or resolvers that know the zone in resolvers',
    });
  }
  return await Promise.all([...new Set(names)].slice(0, MOST_SERVERS).map((name) => withAddresses(name, asking)));
}

async function withAddresses(name: string, asking: Asking): Promise<NameServer> {
  const found = await Promise.all([addresses(name, 'A', asking), addresses(name, 'AAAA', asking)]);
  return { name, addresses: found.flat() };
}

async function addresses(name: string, type: 'A' | 'AAAA', { resolvers, signal }: Asking): Promise<string[]> {
  try {
    const { answers } = await resolve(resolvers, name, type, { signal });
    const found = answers.flatMap((record) => (record.type === type && 'address' in record ? [record.address] : []));
    return [...new Set(found)].slice(0, MOST_SERVERS).map((host) => formatListen({ host, port: 53 }));
  } catch (error) {
    // The name server's own zone may be broken: the others are still asked.
    if (error instanceof DnsFailure) return [];
    throw error;
  }
}

async function ask(name: string, type: QueryType, { resolvers, signal }: Asking): Promise<DnsAnswer> {
  const wrong = (why: string, cause?: unknown): PodserveError =>
    new PodserveError('CHALLENGE_FAILED', `a DNS question for ${type} was not answered`, {
      where: name,
      why,
      remedy: 'see that the DNS servers of this host work, or name others in resolvers',
      cause,
    });
  let answer: DnsAnswer;
  try {
    answer = await resolve(resolvers, name, type, { signal });
  } catch (error) {
    if (error instanceof DnsFailure) throw wrong(describeError(error), error);
    throw error;
  }
  if (answer.rcode === 'NOERROR' || answer.rcode === 'NXDOMAIN') return answer;
  const hint = answer.rcode === 'SERVFAIL' ? ': its name servers do not answer, or its DNSSEC is broken' : '';
  throw wrong(`${answer.server} answered ${answer.rcode}${hint}`);
}
