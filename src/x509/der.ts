/** Tags of the universal types used here (X.690 §8). */
const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One DER element: tag, definite length in its shortest form, contents of at most 16 MiB (X.690 §10.1). */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of contents) length += part.length;
  const header = lengthOctets(tag, length);
  return Buffer.concat([header, ...contents], header.length + length);
}

export function sequence(...contents: readonly Uint8Array[]): Buffer {
  return element(TAG.sequence, ...contents);
}

/** A SET OF with one member, which needs no sorting. */
export function setOfOne(member: Uint8Array): Buffer {
  return element(TAG.set, member);
}

/** `[number] EXPLICIT`, and `[number] IMPLICIT` of a constructed type. */
export function constructed(number: number, ...contents: readonly Uint8Array[]): Buffer {
  return element(0xa0 | number, ...contents);
}

/** `[number] IMPLICIT` of a primitive type. */
export function primitive(number: number, contents: Uint8Array): Buffer {
  return element(0x80 | number, contents);
}

/** BOOLEAN TRUE; FALSE is everywhere a default, which DER leaves out. */
export const TRUE: Buffer = element(TAG.boolean, Uint8Array.of(0xff));

export const NULL: Buffer = element(TAG.null);

/** INTEGER, never negative, in its shortest form (X.690 §8.3.2). */
export function unsignedInteger(bigEndian: Uint8Array): Buffer {
  const first = bigEndian.findIndex((octet) => octet !== 0);
  if (first === -1) return element(TAG.integer, Uint8Array.of(0));
  const digits = bigEndian.subarray(first);
  const looksNegative = ((digits[0] ?? 0) & 0x80) !== 0;
  return looksNegative ? element(TAG.integer, Uint8Array.of(0), digits) : element(TAG.integer, digits);
}

/** BIT STRING of whole octets. */
export function bitString(octets: Uint8Array): Buffer {
  return element(TAG.bitString, Uint8Array.of(0), octets);
}

/** BIT STRING of named bits (bit 0 first), trailing zero bits left out (X.690 §11.2.2). */
export function namedBits(...bits: readonly number[]): Buffer {
  const highest = Math.max(...bits);
  const octets = new Uint8Array((highest >> 3) + 1);
  for (const bit of bits) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return element(TAG.bitString, Uint8Array.of(7 - (highest & 7)), octets);
}

export function octetString(octets: Uint8Array): Buffer {
  return element(TAG.octetString, octets);
}

export function utf8String(text: string): Buffer {
  return element(TAG.utf8String, Buffer.from(text, 'utf8'));
}

/** OBJECT IDENTIFIER from its dotted form. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return element(TAG.objectIdentifier, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/**
 * A certificate's time: UTCTime through 2049, GeneralizedTime from 2050 on, in whole seconds of UTC
 * (RFC 5280 §4.1.2.5; 1950 to 9999).
 * @param milliseconds since the epoch
 */
export function time(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '');
  const year = Number(digits.slice(0, 4));
  return year >= 1950 && year < 2050
    ? element(TAG.utcTime, Buffer.from(`${digits.slice(2)}Z`, 'latin1'))
    : element(TAG.generalizedTime, Buffer.from(`${digits}Z`, 'latin1'));
}

function lengthOctets(tag: number, length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(tag, length);
  if (length < 0x100) return Uint8Array.of(tag, 0x81, length);
  if (length < 0x10000) return Uint8Array.of(tag, 0x82, length >> 8, length & 0xff);
  return Uint8Array.of(tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff);
}

function base128(value: number): number[] {
  const octets = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) octets.unshift((rest & 0x7f) | 0x80);
  return octets;
}
