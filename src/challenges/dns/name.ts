/** What came over the network is no DNS message (RFC 1035 §4.1). The only error that reading one throws. */
export class DnsFormatError extends Error {
  override readonly name = 'DnsFormatError';
}

const LONGEST_LABEL = 63;
/** RFC 1035 §3.1: all octets of a name on the wire, length octets included. */
const LONGEST_NAME = 255;

/**
 * A name on the wire, uncompressed and in canonical form (RFC 4034 §6.2: lower-case).
 * @param name as people write it, the last dot optional, `\.` and `\DDD` understood (RFC 1035 §5.1)
 * @throws DnsFormatError when a label or the whole is too long, or a label is empty
 */
export function encodeName(name: string): Buffer {
  const labels = labelsOf(name).map((label) => Buffer.from(label, 'latin1'));
  for (const label of labels) {
    if (label.length === 0) throw new DnsFormatError(`the name ${JSON.stringify(name)} has an empty label`);
    if (label.length > LONGEST_LABEL) throw new DnsFormatError(`a label of ${JSON.stringify(name)} has more than 63 characters`);
  }
  const wire = Buffer.concat([...labels.flatMap((label) => [Buffer.from([label.length]), label]), Buffer.alloc(1)]);
  if (wire.length > LONGEST_NAME) throw new DnsFormatError(`the name ${JSON.stringify(name)} has more than 253 characters`);
  return wire;
}

/**
 * Reads a name, compressed or not (RFC 1035 §4.1.4). A pointer may only lead to what lies before the part it ends, so
 * that no message can lead in a circle.
 * @returns lower-case, without the last dot, octets that are no plain characters escaped; `.` for the root
 * @throws DnsFormatError
 */
export function decodeName(wire: Buffer, offset: number): { readonly name: string; readonly next: number } {
  const labels: string[] = [];
  let next: number | undefined;
  let partStart = offset;
  let at = offset;
  let total = 1;
  for (;;) {
    const length = wire[at];
    if (length === undefined) throw new DnsFormatError('a name runs over the end of the message');
    if (length === 0) return { name: labels.length === 0 ? '.' : labels.join('.'), next: next ?? at + 1 };
    if (length >= 0xc0) {
      const low = wire[at + 1];
      if (low === undefined) throw new DnsFormatError('a name runs over the end of the message');
      const target = ((length & 0x3f) << 8) | low;
      if (target >= partStart) throw new DnsFormatError('a compressed name points forward or at itself');
      next ??= at + 2;
      partStart = target;
      at = target;
      continue;
    }
    if (length > LONGEST_LABEL) throw new DnsFormatError('a name has a label of an unknown kind');
    total += length + 1;
    if (total > LONGEST_NAME) throw new DnsFormatError('a name has more than 255 octets');
    if (at + 1 + length > wire.length) throw new DnsFormatError('a name runs over the end of the message');
    labels.push(escaped(wire.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
}

/** The one spelling of a name that `decodeName` gives too: lower-case, without the last dot. */
export function canonicalName(name: string): string {
  return decodeName(encodeName(name), 0).name;
}

/** The name itself and each above it up to the top-level domain, nearest first; the root is left out. */
export function nameAndParents(name: string): string[] {
  const labels = labelsOf(name).map((label) => escaped(Buffer.from(label, 'latin1')));
  return labels.map((_, index) => labels.slice(index).join('.'));
}

/** Whether `name` is `zone` or below it. Both as `canonicalName` writes them. */
export function isWithin(name: string, zone: string): boolean {
  return zone === '.' || name === zone || (name.endsWith(`.${zone}`) && !name.endsWith(`\\.${zone}`));
}

/** Octets of the labels, one character each, lower-case. */
function labelsOf(name: string): string[] {
  if (name === '.') return [];
  const labels: string[] = [];
  let label = '';
  for (const [token, digits] of name.matchAll(/\\([0-9]{3})|\\?[^]/g)) {
    if (token === '.') {
      labels.push(label);
      label = '';
    } else label += characterOf(token, digits, name);
  }
  return label === '' && labels.length > 0 ? labels : [...labels, label];
}

function characterOf(token: string, digits: string | undefined, name: string): string {
  const code = digits === undefined ? (token.codePointAt(token.length - 1) ?? 0) : Number(digits);
  if (code > 0xff) throw new DnsFormatError(`the name ${JSON.stringify(name)} has characters that are no octets`);
  return lowerCase(String.fromCharCode(code));
}

function lowerCase(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function escaped(label: Buffer): string {
  return lowerCase(label.toString('latin1')).replaceAll(/[^a-z0-9_*/+=-]/g, (character) =>
    character === '.' || character === '\\' ? `\\${character}` : `\\${String(character.charCodeAt(0)).padStart(3, '0')}`,
  );
}
