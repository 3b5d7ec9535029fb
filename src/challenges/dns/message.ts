import { DnsFormatError, decodeName, encodeName } from './name.ts';
import { decodeRecord, type DnsRecord } from './record.ts';

/** RFC 1035 §4.1.1, RFC 2136 §2.2. */
export const OPCODES = { QUERY: 0, UPDATE: 5 } as const;

/** RFC 1035 §3.2.4, RFC 2136 §1.3. */
export const CLASSES = { IN: 1, NONE: 254, ANY: 255 } as const;

/** RFC 1035 §3.2.2 and later ones. */
export const TYPES = { A: 1, NS: 2, CNAME: 5, SOA: 6, TXT: 16, AAAA: 28, OPT: 41, TSIG: 250, CAA: 257 } as const;

/** RFC 1035 §4.1.1, RFC 2136 §2.2, RFC 8945 §3, RFC 6891 §9. */
const RCODES: Readonly<Record<number, string>> = {
  0: 'NOERROR',
  1: 'FORMERR',
  2: 'SERVFAIL',
  3: 'NXDOMAIN',
  4: 'NOTIMP',
  5: 'REFUSED',
  6: 'YXDOMAIN',
  7: 'YXRRSET',
  8: 'NXRRSET',
  9: 'NOTAUTH',
  10: 'NOTZONE',
  16: 'BADVERS',
};

export interface Question {
  /** As `canonicalName` writes it. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

/** A record to be written. */
export interface WireRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly rdata: Buffer;
}

/** What a request is made of (RFC 1035 §4.1, RFC 2136 §2): an UPDATE's zone, prerequisites and updates are the first three. */
export interface Request {
  readonly id: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  readonly questions: readonly Question[];
  readonly authorities: readonly WireRecord[];
  readonly additionals: readonly WireRecord[];
}

/** A message as it was received. */
export interface DnsMessage {
  readonly id: number;
  readonly opcode: number;
  readonly isResponse: boolean;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  /** The name of the code, those of EDNS included; `RCODE23` for one without a name. */
  readonly rcode: string;
  readonly questions: readonly Question[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
  /** The TSIG record, where the last record is one, and where it begins. */
  readonly tsig: RawRecord | undefined;
}

/** A record as it lies in the message. */
export interface RawRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  /** Where the record and its data begin and end, as offsets into the message. */
  readonly start: number;
  readonly dataStart: number;
  readonly end: number;
}

const HEADER = 12;
/** The least that a record takes: the root's name, type, class, TTL, length. */
const SMALLEST_RECORD = 11;

export function encodeRequest({ id, opcode, recursionDesired, questions, authorities, additionals }: Request): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE((opcode << 11) | (recursionDesired ? 0x0100 : 0), 2);
  header.writeUInt16BE(questions.length, 4);
  header.writeUInt16BE(authorities.length, 8);
  header.writeUInt16BE(additionals.length, 10);
  return Buffer.concat([header, ...questions.map(encodeQuestion), ...authorities.map(encodeRecord), ...additionals.map(encodeRecord)]);
}

function encodeQuestion({ name, type, class: klass }: Question): Buffer {
  const fields = Buffer.alloc(4);
  fields.writeUInt16BE(type, 0);
  fields.writeUInt16BE(klass, 2);
  return Buffer.concat([encodeName(name), fields]);
}

export function encodeRecord({ name, type, class: klass, ttl, rdata }: WireRecord): Buffer {
  const fields = Buffer.alloc(10);
  fields.writeUInt16BE(type, 0);
  fields.writeUInt16BE(klass, 2);
  fields.writeUInt32BE(ttl, 4);
  fields.writeUInt16BE(rdata.length, 8);
  return Buffer.concat([encodeName(name), fields, rdata]);
}

/**
 * Reads a message from the network; nothing in it is believed. Work and memory are bounded by its length.
 * @throws DnsFormatError and nothing else
 */
export function decodeMessage(wire: Buffer): DnsMessage {
  if (wire.length < HEADER) throw new DnsFormatError('the message is shorter than a header');
  const flags = wire.readUInt16BE(2);
  const counts = [4, 6, 8, 10].map((offset) => wire.readUInt16BE(offset));
  const [questionCount = 0, ...recordCounts] = counts;
  let at = HEADER;
  const questions: Question[] = [];
  for (let index = 0; index < questionCount; index++) {
    const { name, next } = decodeName(wire, at);
    if (next + 4 > wire.length) throw new DnsFormatError('a question runs over the end of the message');
    questions.push({ name, type: wire.readUInt16BE(next), class: wire.readUInt16BE(next + 2) });
    at = next + 4;
  }
  const total = recordCounts.reduce((sum, count) => sum + count, 0);
  if (total * SMALLEST_RECORD > wire.length - at) throw new DnsFormatError('the message announces more records than it can hold');
  const sections = recordCounts.map((count) =>
    Array.from({ length: count }, () => {
      const record = rawRecordAt(wire, at);
      at = record.end;
      return record;
    }),
  );
  if (at !== wire.length) throw new DnsFormatError('there is something after the message');
  const [answers = [], authorities = [], additionals = []] = sections;
  const last = additionals.at(-1);
  const tsig = last?.type === TYPES.TSIG ? last : undefined;
  const opt = additionals.find(({ type }) => type === TYPES.OPT);
  const read = (records: readonly RawRecord[]): DnsRecord[] => records.map((record) => decodeRecord(wire, record));
  return {
    id: wire.readUInt16BE(0),
    opcode: (flags >> 11) & 0xf,
    isResponse: (flags & 0x8000) !== 0,
    authoritative: (flags & 0x0400) !== 0,
    truncated: (flags & 0x0200) !== 0,
    rcode: rcodeName((flags & 0xf) | (opt === undefined ? 0 : (opt.ttl >>> 24) << 4)),
    questions,
    answers: read(answers),
    authorities: read(authorities),
    additionals: read(additionals.filter((record) => record !== tsig && record !== opt)),
    tsig,
  };
}

function rcodeName(code: number): string {
  return RCODES[code] ?? `RCODE${code}`;
}

function rawRecordAt(wire: Buffer, start: number): RawRecord {
  const { name, next } = decodeName(wire, start);
  const dataStart = next + 10;
  if (dataStart > wire.length) throw new DnsFormatError('a record runs over the end of the message');
  const end = dataStart + wire.readUInt16BE(next + 8);
  if (end > wire.length) throw new DnsFormatError('a record runs over the end of the message');
  const ttl = wire.readUInt32BE(next + 4);
  return { name, type: wire.readUInt16BE(next), class: wire.readUInt16BE(next + 2), ttl, start, dataStart, end };
}
