const LONGEST = 500;

/** Foreign words for one line of a terminal or a log: no control or formatting characters, and not without end. */
export function plainText(text: string): string {
  const line = text
    .slice(0, 2 * LONGEST)
    .replaceAll(/\s*[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\uFFFD]+\s*/gu, ' ')
    .trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 1)}…` : line;
}

/** Whether it is that already, and has something in it. */
export function isPlain(text: string): boolean {
  return text !== '' && plainText(text) === text;
}
