import { PodserveError } from '../platform/errors.ts';
import type { EnvironmentSettings } from './environment.ts';
import { VARIABLES } from './variables.ts';
import type { Path, Place, Problem } from './problem.ts';

/** What every part of the interpretation works with. */
export interface Scope {
  readonly settings: EnvironmentSettings;
  /** Where relative paths of the file begin. */
  readonly directory: string;
  /** What the schema found, so that nothing is said twice. */
  readonly shapeProblems: readonly Problem[];
  /** Collects what is wrong. */
  report(place: Place, why: string, remedy?: string, cause?: unknown): void;
  warn(line: string): void;
}

/** A value with where it was given; `place` is undefined for defaults. */
export interface Sourced<T> {
  readonly value: T;
  readonly place: Place;
}

/** The environment's value of a setting, else the file's at `path`. */
export function sourced<K extends keyof EnvironmentSettings>(
  scope: Scope,
  setting: K,
  fromFile: NonNullable<EnvironmentSettings[K]> | undefined,
  path: Path,
): Sourced<NonNullable<EnvironmentSettings[K]>> | undefined {
  const fromEnvironment = scope.settings[setting];
  if (fromEnvironment !== undefined && fromEnvironment !== null) return { value: fromEnvironment, place: { variable: VARIABLES[setting] } };
  return fromFile === undefined ? undefined : { value: fromFile, place: { path } };
}

/** Runs a parser that throws PodserveError and reports what it says at `place`. */
export function attempt<T>(scope: Scope, place: Place, parse: () => T): T | undefined {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof PodserveError)) throw cause;
    scope.report(place, [cause.where, cause.why].filter(Boolean).join(': '), cause.remedy, cause);
    return undefined;
  }
}

/** Whether the schema already found something wrong at `path` or below. */
export function isFlawed(scope: Scope, path: Path): boolean {
  return scope.shapeProblems.some(({ place }) => 'path' in place && path.every((step, depth) => place.path[depth] === step));
}

/** The elements that have their type, with their paths. */
export function elements<T>(list: readonly (T | undefined)[] | undefined, path: Path): { value: T; path: Path }[] {
  return (list ?? []).flatMap((value, index) => (value === undefined ? [] : [{ value, path: [...path, index] }]));
}
