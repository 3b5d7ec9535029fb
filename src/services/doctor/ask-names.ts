import { DnsFailure } from '../../challenges/dns/exchange.ts';
import { nameAndParents } from '../../challenges/dns/name.ts';
import { query, resolve, type DnsAnswer, type QueryType } from '../../challenges/dns/query.ts';
import { authoritativeServers, challengeName, findZone, followChallenge } from '../../challenges/dns/zone.ts';
import type { Identifier } from '../../certificate/identifier.ts';
import { SECOND } from '../../platform/clock.ts';
import type { CaaStep } from './judge-caa.ts';
import type { Delegation, ZoneAnswer, ZoneServer } from './judge-delegation.ts';
import type { AddressLookup, Resolution } from './judge-resolve.ts';

/** Questions about names, each asked once however many certificates' names share a parent. */
export interface Names {
  resolution(name: string): Promise<Resolution>;
  caa(name: string): Promise<CaaStep[]>;
  /** @param servers `host:port` to ask instead of the zone's own; empty: those. @throws PodserveError CHALLENGE_FAILED */
  delegation(identifier: Identifier, servers: readonly string[]): Promise<Delegation>;
}

const TIMEOUT = { timeoutMs: 2 * SECOND, tries: 2 };

/** Every question throws the signal's reason, and nothing else where no other error is named. */
export function askNames(resolvers: readonly string[], signal: AbortSignal): Names {
  const asked = new Map<string, Promise<Looked>>();
  const look = (name: string, type: QueryType): Promise<Looked> => {
    const key = `${type} ${name}`;
    const looked = asked.get(key) ?? lookUp(resolvers, name, type, signal);
    asked.set(key, looked);
    return looked;
  };
  const zoneServers = new Map<string, Promise<ZoneServer[]>>();
  return {
    async resolution(name) {
      const [a, aaaa] = await Promise.all([look(name, 'A'), look(name, 'AAAA')]);
      return { name, a: addressesIn(a, 'A'), aaaa: addressesIn(aaaa, 'AAAA') };
    },
    async caa(name) {
      const names = nameAndParents(name.replace(/^\*\./, ''));
      const looked = await Promise.all(names.map((one) => look(one, 'CAA')));
      return names.map((one, index) => caaStep(one, looked[index]));
    },
    async delegation(identifier, servers) {
      const chain = await followChallenge(challengeName(identifier), { resolvers, signal });
      const zone = await findZone(chain.at(-1) ?? '', { resolvers, signal });
      const key = `${zone} ${servers.join(' ')}`;
      const answers = zoneServers.get(key) ?? askZone(zone, servers, resolvers, signal);
      zoneServers.set(key, answers);
      return { chain, zone, registry: await isRegistry(zone), servers: await answers };
    },
  };
}

type Looked = { readonly answer: DnsAnswer } | { readonly failure: string };

async function lookUp(resolvers: readonly string[], name: string, type: QueryType, signal: AbortSignal): Promise<Looked> {
  try {
    const answer = await resolve(resolvers, name, type, { ...TIMEOUT, signal });
    if (answer.rcode === 'NOERROR' || answer.rcode === 'NXDOMAIN') return { answer };
    return { failure: `${answer.server} answers ${answer.rcode}` };
  } catch (error) {
    if (error instanceof DnsFailure) return { failure: error.message };
    throw error;
  }
}

function addressesIn(looked: Looked, type: 'A' | 'AAAA'): AddressLookup {
  if ('failure' in looked) return { state: 'failed', why: looked.failure };
  const addresses = looked.answer.answers.flatMap((record) => (record.type === type && 'address' in record ? [record.address] : []));
  if (addresses.length > 0) return { state: 'found', addresses: [...new Set(addresses)] };
  return { state: looked.answer.rcode === 'NXDOMAIN' ? 'missing' : 'none' };
}

function caaStep(name: string, looked: Looked | undefined): CaaStep {
  if (looked === undefined || 'failure' in looked) return { name, records: [], failure: looked?.failure ?? 'not asked' };
  return { name, records: looked.answer.answers.flatMap((record) => (record.type === 'CAA' ? [record] : [])) };
}

/** `lan` may well be a zone of somebody's own, `org` is not (publicsuffix.org). */
async function isRegistry(zone: string): Promise<boolean> {
  if (zone === '.') return true;
  const { parse } = await import('tldts');
  const { isIcann, publicSuffix } = parse(zone, { validateHostname: false });
  return isIcann === true && publicSuffix === zone;
}

async function askZone(zone: string, servers: readonly string[], resolvers: readonly string[], signal: AbortSignal): Promise<ZoneServer[]> {
  const known =
    servers.length === 0
      ? await authoritativeServers(zone, { resolvers, signal })
      : servers.map((server) => ({ name: server, addresses: [server] }));
  return Promise.all(
    known.map(async ({ name, addresses }) => ({ name, answers: await Promise.all(addresses.map((one) => askServer(one, zone, signal))) })),
  );
}

async function askServer(address: string, zone: string, signal: AbortSignal): Promise<ZoneAnswer> {
  try {
    const { rcode, authoritative, answers } = await query(address, zone, 'SOA', { ...TIMEOUT, signal });
    const soa = answers.find((record) => record.type === 'SOA');
    if (rcode !== 'NOERROR') return { state: 'lame', address, why: rcode };
    if (!authoritative) return { state: 'lame', address, why: 'it only passes on what others say' };
    return soa?.type === 'SOA'
      ? { state: 'answers', address, serial: soa.serial }
      : { state: 'lame', address, why: 'it knows no SOA record' };
  } catch (error) {
    if (error instanceof DnsFailure) return { state: 'silent', address, why: error.message };
    throw error;
  }
}
