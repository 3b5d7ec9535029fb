import { LineCounter, parseDocument, type Node } from 'yaml';

import { PodserveError, messageOf } from '../platform/errors.ts';
import type { Path, Position, Problem } from './problem.ts';
import { offsetAt, readValues, type Wrong } from './values.ts';

/** A parsed file: its plain values, and where each of them stands. */
export interface Document {
  /** Objects without prototype, arrays and scalars; undefined for an empty file. Aliases share what they stand for. */
  readonly value: unknown;
  /** Keys that stand twice in one map. */
  readonly problems: readonly Problem[];
  /** Where the value or key at `path` stands, or what is nearest above it. */
  position(path: Path, of?: 'key' | 'value'): Position;
}

/**
 * Reads one YAML 1.2 document.
 * @param shown the file as messages name it
 * @throws PodserveError CONFIG_INVALID with line and column
 */
export function parseYaml(text: string, shown: string): Document {
  const lines = new LineCounter();
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const wrong: Wrong = (offset, why, remedy, cause) => {
    const { line, column } = positionAt(offset);
    return new PodserveError('CONFIG_INVALID', 'the configuration is wrong', {
      where: `${shown}:${line}:${column}`,
      why,
      ...(remedy === undefined ? {} : { remedy }),
      ...(cause === undefined ? {} : { cause }),
    });
  };
  try {
    const top = parse(text, lines, wrong);
    const { value, pairs, targets, repeated } = readValues(top, wrong);
    return {
      value: value ?? undefined,
      problems: repeated.map(({ path, offset }) => ({
        place: { path, position: positionAt(offset) },
        why: 'this key stands twice in the same place',
        remedy: 'remove one of them',
      })),
      position: (path, of = 'value') => positionAt(offsetAt({ top, pairs, targets }, path, of)),
    };
  } catch (cause) {
    if (cause instanceof RangeError) throw wrong(0, 'it is nested too deeply', undefined, cause);
    throw cause;
  }
}

function parse(text: string, lines: LineCounter, wrong: Wrong): Node | null {
  // The library's own search for repeated keys takes quadratic time.
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false });
  const [first] = [...document.errors, ...document.warnings];
  if (first === undefined) return document.contents;
  const why = first.code === 'MULTIPLE_DOCS' ? 'a second document begins here' : `this is no YAML: ${messageOf(first)}`;
  throw wrong(first.pos[0], why, remedyFor(first.code), first);
}

function remedyFor(code: string): string {
  if (code === 'MULTIPLE_DOCS') return 'keep one document in the file';
  if (code === 'TAB_AS_INDENT') return 'indent with spaces';
  return 'quote texts that hold brackets, "#", "*" or ": "';
}
