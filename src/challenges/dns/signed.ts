import { randomInt } from 'node:crypto';

import { SECOND, type Clock } from '../../platform/clock.ts';
import { PodserveError, describeError, type ErrorDetail } from '../../platform/errors.ts';
import { DnsFailure, exchange, type Attempt } from './exchange.ts';
import { CLASSES, OPCODES, TYPES, encodeRequest, type DnsMessage, type Request, type WireRecord } from './message.ts';
import { DnsFormatError } from './name.ts';
import type { DnsRecord } from './record.ts';
import { judgeAnswer, signRequest, type TsigVerdict } from './tsig.ts';
import type { TsigKey } from './tsig-key.ts';
import { zoneOf } from './zone.ts';

/** A server that takes updates, and the key that it takes them with. */
export interface UpdateServer {
  /** `host:port` */
  readonly server: string;
  readonly key: TsigKey;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** Where a record is to be put. */
export interface Place {
  readonly name: string;
  /** The apex of the zone of `name`, as the update server has it. */
  readonly zone: string;
}

const LONGEST_CHAIN = 16;

/**
 * The zone that an update of `name` has to name: the server's own view counts, which may have zones and CNAMEs that
 * others do not see. The question is signed, because the key may decide which view that is.
 * @throws PodserveError CHALLENGE_FAILED; the signal's reason
 */
export async function placeAt(at: UpdateServer, name: string): Promise<Place> {
  let wanted = name;
  for (let links = 0; links < LONGEST_CHAIN; links++) {
    const answer = await ask(at, wanted);
    const link = answer.answers.find((record) => record.type === 'CNAME' && record.name === wanted);
    if (link?.type === 'CNAME') {
      // A server takes an update beside a CNAME and silently forgets it (RFC 2136 §3.4.2.2).
      wanted = link.target;
      continue;
    }
    const zone = zoneOf({ ...answer, server: at.server }, wanted);
    if (zone !== undefined && answer.authoritative) return { name: wanted, zone };
    throw notServed(at, wanted, answer);
  }
  throw failed(at, `its CNAME records for ${name} have no end`, 'let the last of them point to a name that has no CNAME');
}

/**
 * Adds one value to the TXT records of a name. Values that are there already stay, this one too.
 * @throws PodserveError CHALLENGE_FAILED; the signal's reason
 */
export async function addText(at: UpdateServer, place: Place, value: string): Promise<void> {
  await update(at, place, { name: place.name, type: TYPES.TXT, class: CLASSES.IN, ttl: 60, rdata: textData(value) });
}

/** Deletes one value of the TXT records of a name (RFC 2136 §2.5.4); it need not be there. @throws as `addText` */
export async function deleteText(at: UpdateServer, place: Place, value: string): Promise<void> {
  await update(at, place, { name: place.name, type: TYPES.TXT, class: CLASSES.NONE, ttl: 0, rdata: textData(value) });
}

function textData(value: string): Buffer {
  const octets = Buffer.from(value, 'latin1');
  return Buffer.concat([Buffer.from([octets.length]), octets]);
}

async function ask(at: UpdateServer, name: string): Promise<DnsMessage> {
  const question = { name, type: TYPES.SOA, class: CLASSES.IN };
  return await send(at, { opcode: OPCODES.QUERY, recursionDesired: false, questions: [question], authorities: [], additionals: [] });
}

async function update(at: UpdateServer, { name, zone }: Place, change: WireRecord): Promise<void> {
  const question = { name: zone, type: TYPES.SOA, class: CLASSES.IN };
  const { rcode } = await send(at, {
    opcode: OPCODES.UPDATE,
    recursionDesired: false,
    questions: [question],
    authorities: [change],
    additionals: [],
  });
  if (rcode === 'NOERROR') return;
  const [why, remedy] = refusal(rcode, at, { name, zone });
  throw failed(at, `it answered ${rcode}: ${why}`, remedy);
}

function refusal(rcode: string, { key }: UpdateServer, { name, zone }: Place): readonly [why: string, remedy: string] {
  switch (rcode) {
    case 'REFUSED':
      return [
        `the key ${key.name} may not change the TXT records of ${name}`,
        `allow it in the server's configuration of ${zone} (docs/challenges.md), in BIND: update-policy { grant ${key.name} name ${name}. TXT; }; or, where it is a secondary, name the primary in dns01.server`,
      ];
    case 'NOTAUTH':
      return [
        `it is not the primary of ${zone}`,
        'name the primary in dns01.server, or let this server forward updates (BIND: allow-update-forwarding)',
      ];
    case 'NOTZONE':
      return [`${name} is not in ${zone}`, 'see that the zone was not changed just now, and try again'];
    case 'NOTIMP':
      return ['it takes no updates', 'name a server that does in dns01.server, or turn updates on (PowerDNS: dnsupdate=yes)'];
    case 'SERVFAIL':
      return [
        `it failed to change ${zone}`,
        "see the server's log; BIND needs to write to the directory of the zone file, for its journal",
      ];
    case 'YXDOMAIN':
    case 'YXRRSET':
    case 'NXDOMAIN':
    case 'NXRRSET':
      return [`its ${zone} is not what the update presumed`, "see the server's log, and what else updates the zone"];
    default:
      return [`it did not change ${zone}`, "see the server's log"];
  }
}

function notServed(at: UpdateServer, name: string, { rcode, authorities, authoritative }: DnsMessage): PodserveError {
  const referral = authorities.filter((record) => record.type === 'NS');
  const delegated = referral.find((record: DnsRecord) => record.name !== '.');
  if (rcode === 'NOERROR' && !authoritative && delegated !== undefined) {
    const servers = referral.flatMap((record) => (record.type === 'NS' ? [record.target] : [])).join(', ');
    return failed(at, `it has delegated ${delegated.name} to ${servers}`, `name the primary of ${delegated.name} in dns01.server`);
  }
  if (rcode === 'NOTAUTH') {
    // PowerDNS answers so, unsigned, whatever is wrong with a signature.
    return failed(
      at,
      `it does not take the key ${at.key.name}, and does not say why (NOTAUTH)`,
      `see that it has the key with ${at.key.algorithm} and the same secret, and that both clocks are right`,
    );
  }
  return failed(
    at,
    `it serves no zone that holds ${name} (it answered ${rcode}${authoritative ? '' : ', not as an authority'})`,
    'name the primary of that zone in dns01.server, or point a CNAME at the name into a zone that it serves',
  );
}

type Unsent = Omit<Request, 'id'>;

async function send(at: UpdateServer, request: Unsent): Promise<DnsMessage> {
  try {
    return await exchange(at.server, () => signedAttempt(at, request), { signal: at.signal });
  } catch (error) {
    if (!(error instanceof DnsFailure)) throw error;
    throw failed(at, describeError(error), 'see that the server runs, that dns01.server is right and that no firewall is between', error);
  }
}

function signedAttempt(at: UpdateServer, request: Unsent): Attempt<DnsMessage> {
  const { key, clock } = at;
  const id = randomInt(0x1_0000);
  const signed = signRequest(encodeRequest({ ...request, id }), key, clock.now());
  const [question] = request.questions;
  if (question === undefined) throw new TypeError('a request without a question');
  return {
    wire: signed.wire,
    id,
    opcode: request.opcode,
    question,
    accept(wire, message) {
      const now = clock.now();
      const judged = judgeAnswer(wire, message.tsig, key, signed, now);
      switch (judged.verdict) {
        case 'good':
          return message;
        case 'unsigned':
          // A refusal that anybody could have sent does no more harm than silence, and says more.
          if (message.rcode === 'NOERROR') throw new DnsFormatError('its answer is not signed');
          return message;
        case 'forged':
          throw new DnsFormatError(`its answer is not signed with the key ${key.name}`);
        case 'BADKEY':
        case 'BADSIG':
        case 'BADTRUNC':
        case 'BADTIME':
          throw refusedKey(at, judged, now);
      }
    },
  };
}

function refusedKey(at: UpdateServer, judged: Extract<TsigVerdict, { verdict: `BAD${string}` }>, now: number): PodserveError {
  const { name, algorithm } = at.key;
  switch (judged.verdict) {
    case 'BADKEY':
      return failed(
        at,
        `it does not know the key ${name} with ${algorithm} (BADKEY)`,
        'give it the key under this name and algorithm, and reload it',
      );
    case 'BADSIG':
      return failed(at, `it has another secret for the key ${name} (BADSIG)`, 'copy the key anew, from the server or to it');
    case 'BADTRUNC':
      return failed(at, `it wants a longer signature than ${algorithm} gives (BADTRUNC)`, 'make a key with hmac-sha512');
    case 'BADTIME': {
      const seconds = judged.serverTime / SECOND - Math.floor(now / SECOND);
      const times = `here it is ${new Date(now).toISOString()}, there ${printedTime(judged.serverTime)}`;
      return failed(
        at,
        `its clock is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} ours (BADTIME): ${times}`,
        'set both clocks, by NTP for one',
      );
    }
  }
}

/** 48 bits of seconds reach further than dates do. */
function printedTime(ms: number): string {
  return ms <= 8.64e15 ? new Date(ms).toISOString() : 'the far future';
}

function failed({ server }: UpdateServer, why: string, remedy: string, cause?: unknown): PodserveError {
  const detail: ErrorDetail = { where: server, why, remedy, cause };
  return new PodserveError('CHALLENGE_FAILED', 'the DNS server did not take the update', detail);
}
