import { PodserveError } from '../platform/errors.ts';

/** Keys and indexes from the top of the file to a value. */
export type Path = readonly (string | number)[];

/** Line and column, from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/**
 * What a problem is about: a value or key of the file, or an environment variable.
 * `position` where the path alone does not tell, as with a key that stands twice.
 */
export type Place = { readonly path: Path; readonly of?: 'key' | 'value'; readonly position?: Position } | { readonly variable: string };

/** One thing that is wrong with the configuration. */
export interface Problem {
  readonly place: Place;
  readonly why: string;
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

/** `certificates[1].names[0]` */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += `${text === '' ? '' : '.'}${/^[\w-]{1,64}$/.test(step) ? step : JSON.stringify(short(step))}`;
  }
  return text;
}

/** At most 64 characters of what somebody wrote. */
export function short(text: string): string {
  return text.length > 64 ? `${text.slice(0, 61)}…` : text;
}

/** How many problems are worth reading at a time. */
const MOST_SHOWN = 20;

/**
 * One error for all problems: the only one in full on its line, or a count and one line each.
 * @param subject what the reader knows the whole by: the file, or the environment
 * @param locate gives `file:line:column: path` or the variable's name
 */
export function configInvalid(subject: string, problems: readonly Problem[], locate: (place: Place) => string): PodserveError {
  const [only, ...others] = problems;
  if (only !== undefined && others.length === 0) {
    const { why, remedy, cause } = only;
    return new PodserveError('CONFIG_INVALID', 'the configuration is wrong', {
      where: locate(only.place),
      why,
      ...(remedy === undefined ? {} : { remedy }),
      ...(cause === undefined ? {} : { cause }),
    });
  }
  const lines = problems
    .slice(0, MOST_SHOWN)
    .map(({ place, why, remedy }) => `${locate(place)}: ${why}${remedy === undefined ? '' : `; ${remedy}`}`);
  if (problems.length > MOST_SHOWN) lines.push(`${subject}: and ${problems.length - MOST_SHOWN} more`);
  const causes = problems.map(({ cause }) => cause).filter((cause) => cause !== undefined);
  return new PodserveError('CONFIG_INVALID', 'the configuration is wrong', {
    where: subject,
    why: `${problems.length} problems`,
    problems: lines,
    ...(causes.length === 0 ? {} : { cause: new AggregateError(causes) }),
  });
}
