import { closeSync, openSync, readSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** How many bytes of a secret are looked for: enough to be no coincidence. */
const SECRET_LENGTH = 32;
const CHUNK = 1 << 20;
/** Longer than every pattern. */
const OVERLAP = 128;

export interface Finding {
  readonly file: string;
  readonly encoding: string;
}

/** Patterns by their first four bytes, behind a bitmap that rules out nearly every position. */
interface Matcher {
  readonly bitmap: Uint8Array;
  readonly byPrefix: Map<number, Pattern[]>;
}

interface Pattern {
  readonly bytes: Buffer;
  readonly encoding: string;
}

/**
 * Looks for private numbers (an EC scalar, an RSA exponent or prime; at least 16 bytes each) in every file below
 * `directory`: raw, in hexadecimal with and without colons, in base64 and base64url at each of the three alignments,
 * with and without line breaks (also written as `\n`). One pass a file, whatever the number of secrets: searching
 * each pattern by itself would take hours for the thousands of keys of a long run.
 */
export function scanForSecrets(directory: string, secrets: readonly Buffer[]): { findings: Finding[]; files: number; bytes: number } {
  const matcher = buildMatcher(secrets.flatMap(encodings));
  const findings: Finding[] = [];
  let bytes = 0;
  const files = regularFiles(directory);
  for (const file of files) bytes += scanFile(file, matcher, (encoding) => findings.push({ file, encoding }));
  return { findings, files: files.length, bytes };
}

function encodings(whole: Buffer): Pattern[] {
  const secret = whole.subarray(0, SECRET_LENGTH);
  const hexadecimal = secret.toString('hex');
  const patterns: Pattern[] = [
    { bytes: secret, encoding: 'raw' },
    { bytes: Buffer.from(hexadecimal), encoding: 'hex' },
    { bytes: Buffer.from(hexadecimal.toUpperCase()), encoding: 'HEX' },
  ];
  for (const before of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(before), secret]);
    for (const alphabet of ['base64', 'base64url'] as const) {
      // The first and the last character also hold bits of the neighbours.
      const text = padded.toString(alphabet).slice(Math.ceil((before * 8) / 6), Math.floor((padded.length * 8) / 6));
      patterns.push({ bytes: Buffer.from(text), encoding: `${alphabet} at alignment ${before}` });
    }
  }
  return patterns;
}

function buildMatcher(patterns: readonly Pattern[]): Matcher {
  const bitmap = new Uint8Array(1 << 21);
  const byPrefix = new Map<number, Pattern[]>();
  for (const pattern of patterns) {
    const prefix = pattern.bytes.readUInt32BE(0);
    const bit = hash(prefix);
    bitmap[bit >>> 3] = (bitmap[bit >>> 3] ?? 0) | (1 << (bit & 7));
    const others = byPrefix.get(prefix);
    if (others === undefined) byPrefix.set(prefix, [pattern]);
    else others.push(pattern);
  }
  return { bitmap, byPrefix };
}

/** 24 bits of a 32-bit number. */
function hash(prefix: number): number {
  return Math.imul(prefix, 0x9e3779b1) >>> 8;
}

function scanFile(file: string, matcher: Matcher, found: (encoding: string) => void): number {
  const reported = new Set<string>();
  const report = (encoding: string): void => {
    if (!reported.has(encoding)) found(encoding);
    reported.add(encoding);
  };
  const plain = searcher(matcher, report);
  const joined = searcher(matcher, report);
  const chunk = Buffer.alloc(CHUNK);
  let total = 0;
  const handle = openSync(file, 'r');
  try {
    for (;;) {
      const length = readSync(handle, chunk);
      if (length === 0) return total;
      total += length;
      const data = chunk.subarray(0, length);
      plain(data);
      joined(withoutBreaks(data));
    }
  } finally {
    closeSync(handle);
  }
}

/** Searches a stream given piece by piece. */
function searcher(matcher: Matcher, report: (encoding: string) => void): (data: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (data) => {
    const text = Buffer.concat([rest, data]);
    search(text, matcher, report);
    rest = Buffer.from(text.subarray(-OVERLAP));
  };
}

function search(text: Buffer, { bitmap, byPrefix }: Matcher, report: (encoding: string) => void): void {
  let window = 0;
  for (let index = 0; index < text.length; index += 1) {
    window = (window << 8) | (text[index] ?? 0);
    const bit = hash(window);
    if (((bitmap[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0 || index < 3) continue;
    for (const { bytes, encoding } of byPrefix.get(window >>> 0) ?? []) {
      if (bytes.equals(text.subarray(index - 3, index - 3 + bytes.length))) report(encoding);
    }
  }
}

const [BACKSLASH, SMALL_N, SMALL_R] = Buffer.from('\\nr');

/** Joins what was broken into lines or set apart by colons. */
function withoutBreaks(data: Buffer): Buffer {
  const joined = Buffer.alloc(data.length);
  let length = 0;
  for (let index = 0; index < data.length; index += 1) {
    const byte = data[index] ?? 0;
    if (byte === 0x0a || byte === 0x0d || byte === 0x20 || byte === 0x09 || byte === 0x3a) continue;
    const next = data[index + 1];
    if (byte === BACKSLASH && (next === SMALL_N || next === SMALL_R)) {
      index += 1;
      continue;
    }
    joined[length] = byte;
    length += 1;
  }
  return joined.subarray(0, length);
}

function regularFiles(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
