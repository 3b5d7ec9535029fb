import { DnsFormatError, decodeName } from './name.ts';

/** A record that was received. Names are lower-case, without the last dot. */
export type DnsRecord = { readonly name: string; readonly ttl: number } & RecordData;

export type RecordData =
  /** RFC 1035 §3.4.1, RFC 3596 §2.2; the address as text. */
  | { readonly type: 'A' | 'AAAA'; readonly address: string }
  | { readonly type: 'NS' | 'CNAME'; readonly target: string }
  /** RFC 1035 §3.3.13; the times in s. */
  | { readonly type: 'SOA'; readonly primary: string; readonly serial: number; readonly refresh: number; readonly minimum: number }
  /** RFC 1035 §3.3.14: all strings of the record, joined; one character for each octet. */
  | { readonly type: 'TXT'; readonly value: string }
  /** RFC 8659 §4.1; the tag lower-case, one character for each octet of the value. */
  | { readonly type: 'CAA'; readonly critical: boolean; readonly tag: string; readonly value: string }
  | { readonly type: 'other'; readonly code: number };

/** @throws DnsFormatError when the data does not fit the type */
export function decodeRecord(wire: Buffer, raw: RawPlace): DnsRecord {
  return { name: raw.name, ttl: raw.ttl, ...decodeData(wire, raw) };
}

interface RawPlace {
  readonly name: string;
  readonly type: number;
  readonly ttl: number;
  readonly dataStart: number;
  readonly end: number;
}

function decodeData(wire: Buffer, { type, dataStart, end }: RawPlace): RecordData {
  // RFC 2136 §2.5: a record of an UPDATE may come without data.
  if (dataStart === end) return { type: 'other', code: type };
  const data = wire.subarray(dataStart, end);
  switch (type) {
    case 1:
      return { type: 'A', address: ipv4(exactly(data, 4)) };
    case 2:
      return { type: 'NS', target: onlyName(wire, dataStart, end) };
    case 5:
      return { type: 'CNAME', target: onlyName(wire, dataStart, end) };
    case 6:
      return soa(wire, dataStart, end);
    case 16:
      return { type: 'TXT', value: strings(data) };
    case 28:
      return { type: 'AAAA', address: ipv6(exactly(data, 16)) };
    case 257:
      return caa(data);
    default:
      return { type: 'other', code: type };
  }
}

function exactly(data: Buffer, length: number): Buffer {
  if (data.length !== length) throw new DnsFormatError(`an address record has ${data.length} octets`);
  return data;
}

function ipv4(octets: Buffer): string {
  return [...octets].join('.');
}

function ipv6(octets: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => octets.readUInt16BE(2 * index).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

function onlyName(wire: Buffer, start: number, end: number): string {
  const { name, next } = decodeName(wire, start);
  if (next !== end) throw new DnsFormatError('the name in a record is not as long as the record');
  return name;
}

function soa(wire: Buffer, start: number, end: number): RecordData {
  const primary = decodeName(wire, start);
  const { next } = decodeName(wire, primary.next);
  if (next + 20 !== end) throw new DnsFormatError('an SOA record has not the length that it needs');
  const field = (index: number): number => wire.readUInt32BE(next + 4 * index);
  return { type: 'SOA', primary: primary.name, serial: field(0), refresh: field(1), minimum: field(4) };
}

function strings(data: Buffer): string {
  const parts: string[] = [];
  for (let at = 0; at < data.length;) {
    const end = at + 1 + (data[at] ?? 0);
    if (end > data.length) throw new DnsFormatError('a text runs over the end of its record');
    parts.push(data.toString('latin1', at + 1, end));
    at = end;
  }
  return parts.join('');
}

function caa(data: Buffer): RecordData {
  const tagEnd = 2 + (data[1] ?? 0);
  if (data.length < 3 || tagEnd === 2 || tagEnd > data.length) throw new DnsFormatError('a CAA record has no tag');
  const tag = data.toString('latin1', 2, tagEnd).toLowerCase();
  return { type: 'CAA', critical: ((data[0] ?? 0) & 0x80) !== 0, tag, value: data.toString('latin1', tagEnd) };
}
