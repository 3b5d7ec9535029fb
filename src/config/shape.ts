import type { ConfigInput } from './schema.ts';
import { nearest } from './nearest.ts';
import { short, type Path, type Problem } from './problem.ts';

/** What the schema let through: every value has its type, but any may be missing because it was wrong. */
export type Raw = Loose<ConfigInput>;

export type RawIssuer = NonNullable<NonNullable<Raw['issuers']>[string]>;

type Loose<T> = T extends readonly (infer E)[]
  ? (Loose<E> | undefined)[]
  : T extends object
    ? { [K in keyof T]?: Loose<NonNullable<T[K]>> | undefined }
    : T;

export interface Shape {
  readonly raw: Raw;
  readonly problems: readonly Problem[];
}

/**
 * Holds a parsed file against the schema. What does not fit becomes a problem and is taken out, so that
 * the rest can be interpreted and all that is wrong is said at once. An empty value (`names:`) is unset.
 */
export async function checkShape(value: unknown): Promise<Shape> {
  const { configSchema } = await import('./schema.ts');
  const input = value ?? {};
  const result = configSchema.safeParse(input);
  if (result.success) return { raw: result.data, problems: [] };
  if (!isContainer(input) || Array.isArray(input)) {
    return { raw: {}, problems: [{ place: { path: [] }, why: `the file must hold keys and values, it holds ${describe(input)}` }] };
  }
  const raw = structuredClone(input);
  const places = result.error.issues.flatMap(placesOf);
  const known = knownKeys(places.some(({ unknown }) => unknown) ? (await import('./schema.ts')).jsonSchema() : {});
  const problems: Problem[] = [];
  for (const { issue, path, unknown } of places) {
    const found = valueAt(input, path);
    takeOut(raw, path);
    if (unknown) problems.push(unknownKey(path, known));
    else if (found !== null || isEntry(path)) problems.push(wrongValue(issue, path, found));
  }
  return { raw, problems: [...problems, ...missingNow(configSchema.safeParse(raw).error?.issues ?? [], problems)] };
}

/** Whether an empty value at `path` is an entry that somebody began, and not a setting left open. */
function isEntry(path: Path): boolean {
  return typeof path.at(-1) === 'number' || (path.length === 2 && (path[0] === 'consumers' || path[0] === 'issuers'));
}

interface PlacedIssue {
  readonly issue: Issue;
  readonly path: Path;
  readonly unknown: boolean;
}

function placesOf(issue: Issue): PlacedIssue[] {
  const path = issue.path.filter((step) => typeof step !== 'symbol');
  if (issue.code !== 'unrecognized_keys') return [{ issue, path, unknown: false }];
  return (issue.keys ?? []).map((key) => ({ issue, path: [...path, key], unknown: true }));
}

/** Empty values were taken for unset: some of them may be needed. */
function missingNow(issues: readonly Issue[], reported: readonly Problem[]): Problem[] {
  const known = new Set(reported.map(({ place }) => JSON.stringify('path' in place ? place.path : [])));
  return issues
    .flatMap(placesOf)
    .filter(({ path }) => !known.has(JSON.stringify(path)))
    .map(({ path }) => ({ place: { path }, why: 'this is missing' }));
}

/** The part of a zod issue that is read here. */
interface Issue {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly keys?: readonly string[];
  readonly expected?: unknown;
  readonly values?: readonly unknown[];
}

function wrongValue(issue: Issue, path: Path, found: unknown): Problem {
  if (found === undefined) return { place: { path }, why: 'this is missing' };
  if (issue.code === 'invalid_value') return notOneOf({ path }, (issue.values ?? []).map(String), found);
  const wanted = issue.code === 'invalid_union' ? (UNIONS[String(path.at(-1))] ?? 'something else') : expectation(String(issue.expected));
  const unquoted = issue.expected === 'string' && (typeof found === 'number' || typeof found === 'boolean');
  const remedy = unquoted ? `put it in quotes: "${found}"` : undefined;
  return { place: { path }, why: `this must be ${wanted}, it is ${describe(found)}`, remedy };
}

/** The problem of a value outside a fixed set, for the file and for variables alike. */
export function notOneOf(place: Problem['place'], allowed: readonly string[], found: unknown): Problem {
  const meant = typeof found === 'string' ? nearest(found, allowed) : undefined;
  return {
    place,
    why: `this must be one of ${allowed.join(', ')}, it is ${describe(found)}`,
    remedy: meant === undefined ? undefined : `did you mean ${meant}?`,
  };
}

function unknownKey(path: Path, known: (path: Path) => string[]): Problem {
  const place = { path, of: 'key' } as const;
  const key = String(path.at(-1));
  if (/^must[-_]?staple$/i.test(key) && ['certificates', 'issuers'].includes(String(path[0])))
    return { place, why: NO_STAPLING, remedy: 'remove it' };
  const keys = known(path.slice(0, -1));
  const meant = nearest(key, keys);
  return {
    place,
    why: 'there is no such key',
    remedy: meant === undefined ? `the keys here are ${keys.join(', ')}` : `did you mean ${meant}?`,
  };
}

/** Why nobody can have what used to be a common wish. */
const NO_STAPLING = 'OCSP ended in 2025-08: nothing can be stapled any more, and a certificate that demands it would stop working';

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
}

function knownKeys(schema: SchemaNode): (path: Path) => string[] {
  return (path) => {
    let node: SchemaNode | undefined = schema;
    for (const step of path) {
      const others: SchemaNode | boolean | undefined = node?.additionalProperties;
      node = typeof step === 'number' ? node?.items : (node?.properties?.[step] ?? (typeof others === 'object' ? others : undefined));
    }
    return Object.keys(node?.properties ?? {});
  };
}

const EXPECTATIONS: Readonly<Record<string, string>> = {
  string: 'a text',
  array: 'a list',
  object: 'a map of keys and values',
  record: 'a map of keys and values',
  int: 'a whole number',
  number: 'a whole number',
};

/** What a key takes that takes more than one kind of value. */
const UNIONS: Readonly<Record<string, string>> = {
  hsts: 'a length of time such as 365d, or whole seconds',
  rehearse: 'true, or the https:// URL of a directory',
};

function expectation(expected: string): string {
  return EXPECTATIONS[expected] ?? expected;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return JSON.stringify(short(value));
  if (typeof value === 'number') return `the number ${value}`;
  return typeof value === 'boolean' ? String(value) : 'a map of keys and values';
}

type Container = Record<string | number, unknown>;

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null;
}

function valueAt(top: unknown, path: Path): unknown {
  let value = top;
  for (const step of path) value = isContainer(value) ? value[step] : undefined;
  return value;
}

function takeOut(top: unknown, path: Path): void {
  const container = valueAt(top, path.slice(0, -1));
  const last = path.at(-1);
  // A hole in a list, so that what comes after it keeps its number.
  if (Array.isArray(container)) container[Number(last)] = undefined;
  else if (isContainer(container) && last !== undefined) delete container[last];
}
