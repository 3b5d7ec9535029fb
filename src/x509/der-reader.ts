/** One element of a DER encoding, as found. */
export interface Element {
  readonly tag: number;
  readonly contents: Uint8Array;
  /** Tag, length and contents. */
  readonly encoding: Uint8Array;
}

/**
 * Splits DER into the elements that stand side by side in it. Only for what node:crypto does not show
 * of certificates that it has already parsed: it checks lengths, not the finer rules of DER.
 * @throws RangeError when an element reaches beyond the end
 */
export function elements(der: Uint8Array): Element[] {
  const found: Element[] = [];
  for (let at = 0; at < der.length;) {
    const tag = der[at] ?? 0;
    const { start, length } = lengthAt(der, at + 1);
    const end = start + length;
    if (end > der.length) throw new RangeError('a DER element reaches beyond its end');
    found.push({ tag, contents: der.subarray(start, end), encoding: der.subarray(at, end) });
    at = end;
  }
  return found;
}

/** The elements inside the one element that `der` is. @throws RangeError */
export function inside(der: Uint8Array): Element[] {
  const [outer] = elements(der);
  return outer === undefined ? [] : elements(outer.contents);
}

function lengthAt(der: Uint8Array, at: number): { start: number; length: number } {
  const first = der[at] ?? 0;
  if (first < 0x80) return { start: at + 1, length: first };
  const octets = first & 0x7f;
  let length = 0;
  for (let index = 1; index <= octets; index += 1) length = length * 256 + (der[at + index] ?? 0);
  return { start: at + 1 + octets, length };
}
