import { isAlias, isMap, isScalar, isSeq, type Alias, type Node, type Pair, type YAMLMap, type YAMLSeq } from 'yaml';

import type { PodserveError } from '../platform/errors.ts';
import { short, type Path } from './problem.ts';

/** Makes the error for what stands at an offset of the text. */
export type Wrong = (offset: number, why: string, remedy?: string, cause?: unknown) => PodserveError;

/** What a walk over the nodes gave, and what is needed to find places again. */
export interface Values {
  readonly value: unknown;
  readonly repeated: readonly { readonly path: Path; readonly offset: number }[];
  readonly pairs: ReadonlyMap<YAMLMap, ReadonlyMap<string, Pair>>;
  readonly targets: ReadonlyMap<Alias, Node>;
}

/** Aliases may repeat one another; a small file must not become a large configuration by that. */
const MOST_VALUES = 1_000_000;

interface Walk {
  readonly wrong: Wrong;
  readonly repeated: { path: Path; offset: number }[];
  readonly pairs: Map<YAMLMap, Map<string, Pair>>;
  readonly targets: Map<Alias, Node>;
  readonly anchors: Map<string, { readonly node: Node; read: Read | undefined }>;
}

interface Read {
  readonly value: unknown;
  /** Values in it, with those of the aliases counted wherever they stand. */
  readonly size: number;
}

/**
 * Nodes to plain values. The library's own conversion counts uses of an alias instead of what they
 * expand to, so that it refuses a hundred harmless ones; this one shares what aliases stand for.
 */
export function readValues(top: Node | null, wrong: Wrong): Values {
  const walk: Walk = { wrong, repeated: [], pairs: new Map(), targets: new Map(), anchors: new Map() };
  const { value } = read(walk, top, []);
  return { value, repeated: walk.repeated, pairs: walk.pairs, targets: walk.targets };
}

/** Offset of the value or key at `path`, or of what is nearest above it. */
export function offsetAt(values: Pick<Values, 'pairs' | 'targets'> & { top: Node | null }, path: Path, of: 'key' | 'value'): number {
  let node: unknown = values.top;
  let offset = offsetOf(node);
  for (const [depth, step] of path.entries()) {
    const container = isAlias(node) ? values.targets.get(node) : node;
    const pair = isMap(container) ? values.pairs.get(container)?.get(String(step)) : undefined;
    node = isSeq(container) ? container.items[Number(step)] : pair?.value;
    if (pair !== undefined && of === 'key' && depth === path.length - 1) return offsetOf(pair.key);
    if (node === undefined || node === null) return pair === undefined ? offset : offsetOf(pair.key);
    offset = offsetOf(node);
  }
  return offset;
}

function read(walk: Walk, node: unknown, path: Path): Read {
  if (isAlias(node)) return readAlias(walk, node);
  if (!isScalar(node) && !isMap(node) && !isSeq(node)) return { value: null, size: 1 };
  const anchor: { node: Node; read: Read | undefined } = { node, read: undefined };
  if (node.anchor !== undefined) walk.anchors.set(node.anchor, anchor);
  anchor.read = readNode(walk, node, path);
  if (anchor.read.size > MOST_VALUES) {
    throw walk.wrong(
      offsetOf(node),
      `this holds more than ${MOST_VALUES} values, those of aliases counted wherever they stand`,
      'write out what is meant',
    );
  }
  return anchor.read;
}

function readNode(walk: Walk, node: Node, path: Path): Read {
  if (isMap(node)) return readMap(walk, node, path);
  if (isSeq(node)) return readSequence(walk, node, path);
  return { value: isScalar(node) ? node.value : null, size: 1 };
}

function readAlias(walk: Walk, alias: Alias): Read {
  const anchor = walk.anchors.get(alias.source);
  const written = short(`*${alias.source}`);
  if (anchor === undefined) {
    throw walk.wrong(offsetOf(alias), `${written} without quotes is a YAML alias of something that is not there`, `write "${written}"`);
  }
  if (anchor.read === undefined) {
    throw walk.wrong(offsetOf(alias), `the alias ${written} stands inside what it stands for`, 'write out what is meant');
  }
  walk.targets.set(alias, anchor.node);
  return anchor.read;
}

function readSequence(walk: Walk, sequence: YAMLSeq, path: Path): Read {
  let size = 1;
  const value = sequence.items.map((item, index) => {
    const one = read(walk, item, [...path, index]);
    size += one.size;
    return one.value;
  });
  return { value, size };
}

function readMap(walk: Walk, map: YAMLMap, path: Path): Read {
  // Without prototype, so that a key `__proto__` or `constructor` is a key like any other.
  const value = Object.create(null) as Record<string, unknown>;
  const pairs = new Map<string, Pair>();
  walk.pairs.set(map, pairs);
  let size = 1;
  for (const pair of map.items) {
    const key = keyOf(pair);
    if (key === undefined) throw walk.wrong(offsetOf(pair.key), 'a key must be a plain text', 'quote texts that begin with [ or {');
    const here = [...path, key];
    if (pairs.has(key)) walk.repeated.push({ path: here, offset: offsetOf(pair.key) });
    else pairs.set(key, pair);
    const one = read(walk, pair.value, here);
    size += one.size;
    value[key] = one.value;
  }
  return { value, size };
}

function keyOf(pair: Pair): string | undefined {
  if (!isScalar(pair.key)) return undefined;
  const { value } = pair.key;
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

function offsetOf(node: unknown): number {
  return (isAlias(node) || isScalar(node) || isMap(node) || isSeq(node) ? node.range?.[0] : undefined) ?? 0;
}
