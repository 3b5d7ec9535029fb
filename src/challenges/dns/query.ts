import { randomInt } from 'node:crypto';
import { getServers } from 'node:dns';
import { isIP } from 'node:net';

import { formatListen } from '../../config/listen.ts';
import { DnsFailure, exchange, type Attempt, type ExchangeOptions } from './exchange.ts';
import { CLASSES, OPCODES, TYPES, encodeRequest, type DnsMessage, type WireRecord } from './message.ts';
import { canonicalName } from './name.ts';
import type { DnsRecord } from './record.ts';

export type QueryType = 'A' | 'AAAA' | 'NS' | 'SOA' | 'CNAME' | 'TXT' | 'CAA';

export interface DnsAnswer {
  /** `host:port` of the server that gave it. */
  readonly server: string;
  /** `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED` … */
  readonly rcode: string;
  /** Whether the server says that the zone is its own. */
  readonly authoritative: boolean;
  /** The CNAMEs on the way included. */
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

export interface QueryOptions extends ExchangeOptions {
  /** Whether the server is asked to find out for us: for resolvers. */
  readonly recursion?: boolean;
}

/** RFC 6891 §6.2.5, and what DNS flag day 2020 found to pass everywhere. */
const PAYLOAD = 1232;

const EDNS: WireRecord = { name: '.', type: TYPES.OPT, class: PAYLOAD, ttl: 0, rdata: Buffer.alloc(0) };

/**
 * Asks one server one question, over UDP and where needed TCP. Any rcode is an answer.
 * @param server `host:port`
 * @throws DnsFailure where there was no answer, DnsFormatError where `name` is none; the signal's reason
 */
export async function query(server: string, name: string, type: QueryType, options: QueryOptions = {}): Promise<DnsAnswer> {
  const ask = (edns: boolean): Promise<DnsAnswer> => exchange(server, () => attempt(server, name, type, options, edns), options);
  const answer = await ask(true);
  // RFC 6891 §7: a server that does not know EDNS.
  return answer.rcode === 'FORMERR' || answer.rcode === 'NOTIMP' || answer.rcode === 'BADVERS' ? await ask(false) : answer;
}

/**
 * Asks resolvers in turn until one of them knows: `NOERROR` or `NXDOMAIN`; else gives the last answer that there was.
 * @param resolvers `host:port` each; empty: the system's
 * @throws DnsFailure where none answered; the signal's reason
 */
export async function resolve(
  resolvers: readonly string[],
  name: string,
  type: QueryType,
  options: Omit<QueryOptions, 'recursion'> = {},
): Promise<DnsAnswer> {
  let last: DnsAnswer | undefined;
  const failures: string[] = [];
  for (const server of resolvers.length === 0 ? systemResolvers() : resolvers) {
    try {
      last = await query(server, name, type, { ...options, recursion: true });
      if (last.rcode === 'NOERROR' || last.rcode === 'NXDOMAIN') return last;
    } catch (error) {
      if (!(error instanceof DnsFailure)) throw error;
      failures.push(error.message);
    }
  }
  if (last !== undefined) return last;
  throw new DnsFailure('silent', failures.length === 0 ? 'this system has no DNS server' : failures.join(', '));
}

/** `host:port` of what /etc/resolv.conf names. */
function systemResolvers(): string[] {
  return getServers().map((server) => (isIP(server) === 0 ? server : formatListen({ host: server, port: 53 })));
}

function attempt(server: string, name: string, type: QueryType, { recursion = false }: QueryOptions, edns: boolean): Attempt<DnsAnswer> {
  const id = randomInt(0x1_0000);
  const question = { name: canonicalName(name), type: TYPES[type], class: CLASSES.IN };
  const additionals = edns ? [EDNS] : [];
  const wire = encodeRequest({
    id,
    opcode: OPCODES.QUERY,
    recursionDesired: recursion,
    questions: [question],
    authorities: [],
    additionals,
  });
  return { wire, id, opcode: OPCODES.QUERY, question, accept: (_wire, message) => answerOf(server, message) };
}

function answerOf(server: string, { rcode, authoritative, answers, authorities, additionals }: DnsMessage): DnsAnswer {
  return { server, rcode, authoritative, answers, authorities, additionals };
}
