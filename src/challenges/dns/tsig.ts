import { createHmac, timingSafeEqual } from 'node:crypto';

import { SECOND } from '../../platform/clock.ts';
import { CLASSES, TYPES, encodeRecord, type RawRecord } from './message.ts';
import { DnsFormatError, decodeName, encodeName } from './name.ts';
import { TSIG_ALGORITHMS, type TsigKey } from './tsig-key.ts';

/** What a signature is made over and checked with. */
export interface SignedRequest {
  readonly wire: Buffer;
  /** The answer's signature covers it (RFC 8945 §5.3.1). */
  readonly mac: Buffer;
}

/** What a server says about the signature of a request, or what is wrong with its own. */
export type TsigVerdict =
  | { readonly verdict: 'good' }
  | { readonly verdict: 'unsigned' }
  /** RFC 8945 §5.2: the server does not know the key, or has another secret for it. */
  | { readonly verdict: 'BADKEY' | 'BADSIG' | 'BADTRUNC' }
  /** The clocks differ by more than the fudge; the server's, ms since the epoch. */
  | { readonly verdict: 'BADTIME'; readonly serverTime: number }
  /** Somebody else made it, or changed it under way. */
  | { readonly verdict: 'forged' };

/** RFC 8945 §10 recommends it: how far the clocks may be apart, s. */
const FUDGE = 300;

const ERRORS = { NONE: 0, BADSIG: 16, BADKEY: 17, BADTIME: 18, BADTRUNC: 22 } as const;

/** Appends a TSIG record (RFC 8945 §4, §5.1). @param now ms since the epoch */
export function signRequest(wire: Buffer, key: TsigKey, now: number): SignedRequest {
  const fields: TsigFields = { time: Math.floor(now / SECOND), fudge: FUDGE, error: ERRORS.NONE, other: Buffer.alloc(0) };
  const mac = hmac(key, [wire, variables(key, fields)]);
  const rdata = Buffer.concat([
    encodeName(key.algorithm),
    timeAndFudge(fields),
    uint16(mac.length),
    mac,
    wire.subarray(0, 2),
    uint16(fields.error),
    uint16(0),
  ]);
  const signed = Buffer.concat([wire, encodeRecord({ name: key.name, type: TYPES.TSIG, class: CLASSES.ANY, ttl: 0, rdata })]);
  signed.writeUInt16BE(wire.readUInt16BE(10) + 1, 10);
  return { wire: signed, mac };
}

/**
 * Judges the signature of an answer (RFC 8945 §5.3, §5.4).
 * @param tsig where the answer's TSIG record lies, or undefined when it has none
 * @param now ms since the epoch
 * @throws DnsFormatError when the TSIG record is damaged
 */
export function judgeAnswer(wire: Buffer, tsig: RawRecord | undefined, key: TsigKey, request: SignedRequest, now: number): TsigVerdict {
  if (tsig === undefined) return { verdict: 'unsigned' };
  const read = readTsig(wire, tsig);
  // RFC 8945 §5.3.2: these cannot be signed, for want of a key that both have.
  if (read.error === ERRORS.BADKEY) return { verdict: 'BADKEY' };
  if (read.error === ERRORS.BADSIG) return { verdict: 'BADSIG' };
  if (read.error === ERRORS.BADTRUNC) return { verdict: 'BADTRUNC' };
  // RFC 8945 §4.2 fixes class and TTL; they are signed as they have to be, not as they came.
  if (tsig.name !== key.name || read.algorithm !== key.algorithm || tsig.class !== CLASSES.ANY || tsig.ttl !== 0)
    return { verdict: 'forged' };
  const unsigned = Buffer.from(wire.subarray(0, tsig.start));
  unsigned.writeUInt16BE(read.originalId, 0);
  unsigned.writeUInt16BE(unsigned.readUInt16BE(10) - 1, 10);
  const expected = hmac(key, [uint16(request.mac.length), request.mac, unsigned, variables(key, read)]);
  if (expected.length !== read.mac.length || !timingSafeEqual(expected, read.mac)) return { verdict: 'forged' };
  if (read.error === ERRORS.BADTIME) {
    if (read.other.length !== 6) throw new DnsFormatError('a BADTIME answer does not say the time');
    return { verdict: 'BADTIME', serverTime: read.other.readUIntBE(0, 6) * SECOND };
  }
  if (Math.abs(now / SECOND - read.time) > read.fudge) return { verdict: 'BADTIME', serverTime: read.time * SECOND };
  return { verdict: 'good' };
}

/** The variable fields of RFC 8945 §4.2. */
interface TsigFields {
  /** s since the epoch. */
  readonly time: number;
  /** s */
  readonly fudge: number;
  readonly error: number;
  readonly other: Buffer;
}

interface ReadTsig extends TsigFields {
  readonly algorithm: string;
  readonly mac: Buffer;
  readonly originalId: number;
}

function readTsig(wire: Buffer, { dataStart, end }: RawRecord): ReadTsig {
  const { name: algorithm, next } = decodeName(wire, dataStart);
  const rdata = wire.subarray(next, end);
  if (next > end || rdata.length < 10) throw new DnsFormatError('a TSIG record is too short');
  const macEnd = 10 + rdata.readUInt16BE(8);
  if (rdata.length < macEnd + 6 || rdata.length !== macEnd + 6 + rdata.readUInt16BE(macEnd + 4)) {
    throw new DnsFormatError('a TSIG record has not the length that it needs');
  }
  return {
    algorithm,
    time: rdata.readUIntBE(0, 6),
    fudge: rdata.readUInt16BE(6),
    mac: rdata.subarray(10, macEnd),
    originalId: rdata.readUInt16BE(macEnd),
    error: rdata.readUInt16BE(macEnd + 2),
    other: rdata.subarray(macEnd + 6),
  };
}

/** RFC 8945 §4.3.3: what of the TSIG record is signed. */
function variables(key: TsigKey, fields: TsigFields): Buffer {
  return Buffer.concat([
    encodeName(key.name),
    uint16(CLASSES.ANY),
    Buffer.alloc(4),
    encodeName(key.algorithm),
    timeAndFudge(fields),
    uint16(fields.error),
    uint16(fields.other.length),
    fields.other,
  ]);
}

function timeAndFudge({ time, fudge }: TsigFields): Buffer {
  const octets = Buffer.alloc(8);
  octets.writeUIntBE(time, 0, 6);
  octets.writeUInt16BE(fudge, 6);
  return octets;
}

function uint16(value: number): Buffer {
  const octets = Buffer.alloc(2);
  octets.writeUInt16BE(value);
  return octets;
}

function hmac(key: TsigKey, parts: readonly Buffer[]): Buffer {
  const digest = createHmac(TSIG_ALGORITHMS[key.algorithm], key.secret);
  for (const part of parts) digest.update(part);
  return digest.digest();
}
