import { dirname } from 'node:path';

import type { Config } from './config.ts';
import type { Document } from './document.ts';
import type { LoadOptions } from './digest.ts';
import { readEnvironment, type EnvironmentSettings } from './environment.ts';
import { hostTraits, type HostTraits } from './host.ts';
import { interpret } from './interpret.ts';
import { configInvalid, formatPath, type Place, type Problem } from './problem.ts';
import { checkShape, type Raw, type Shape } from './shape.ts';
import type { Environment } from './variables.ts';
import { decode, readSource, type SourceFile } from './source.ts';

export { configDigest, type LoadOptions } from './digest.ts';

/** The configuration with what it was made from, for those who explain it. */
export interface LoadedConfig {
  readonly config: Config;
  readonly raw: Raw;
  readonly settings: EnvironmentSettings;
  readonly traits: HostTraits;
  /** Undefined where there is no file. */
  readonly source: { readonly shown: string; readonly document: Document } | undefined;
}

/**
 * Reads file and environment, checks them, and gives what they mean, deeply frozen.
 * Without a file neither the YAML reader nor the schema is loaded.
 * @throws PodserveError CONFIG_UNREADABLE, CONFIG_INVALID
 */
export async function loadConfig(options: LoadOptions): Promise<Config> {
  return (await loadExplained(options)).config;
}

/** The same, with where everything came from. @throws PodserveError CONFIG_UNREADABLE, CONFIG_INVALID */
export async function loadExplained(options: LoadOptions): Promise<LoadedConfig> {
  const file = await readSource(options);
  const source = file === undefined ? undefined : await parse(file);
  const shape: Shape = source === undefined ? { raw: {}, problems: [] } : await checkShape(source.document.value);
  const { settings, problems, warnings } = readEnvironment(options.env, options.cwd);
  const traits = options.traits ?? hostTraits();
  const directory = file === undefined ? options.cwd : dirname(file.file);
  const meaning = interpret({ shape, settings, file: file?.file, directory, traits });
  const all = [...problems, ...(source?.document.problems ?? []), ...shape.problems, ...meaning.problems];
  if (all.length > 0) throw invalid(all, source);
  const found = await inspect(meaning.config, options.env);
  const config = deepFreeze({ ...meaning.config, warnings: [...warnings, ...meaning.config.warnings, ...found] });
  return { config, raw: shape.raw, settings, traits, source };
}

async function parse(file: SourceFile): Promise<{ shown: string; document: Document }> {
  const { parseYaml } = await import('./document.ts');
  return { shown: file.shown, document: parseYaml(decode(file), file.shown) };
}

async function inspect(config: Config, env: Environment): Promise<string[]> {
  if (config.onEvent === undefined && config.apache.sites.every(({ root }) => root === undefined)) return [];
  const { inspectOnEvent, inspectSites } = await import('./inspect.ts');
  const onEvent = await inspectOnEvent(config.onEvent, env['PATH']);
  return [...(onEvent === undefined ? [] : [onEvent]), ...(await inspectSites(config.apache.sites))];
}

function invalid(problems: readonly Problem[], source: LoadedConfig['source']): Error {
  const positionOf = (place: Place): { line: number; column: number } => {
    if ('variable' in place || source === undefined) return { line: 0, column: 0 };
    return place.position ?? source.document.position(place.path, place.of);
  };
  const order = new Map(problems.map((problem) => [problem, positionOf(problem.place)]));
  const sorted = problems.toSorted((left, right) => {
    const [one, other] = [order.get(left), order.get(right)];
    return (one?.line ?? 0) - (other?.line ?? 0) || (one?.column ?? 0) - (other?.column ?? 0);
  });
  return configInvalid(source?.shown ?? 'the environment', sorted, (place) => {
    if ('variable' in place) return place.variable;
    const { line, column } = positionOf(place);
    return [`${source?.shown}:${line}:${column}`, formatPath(place.path)].filter((part) => part !== '').join(': ');
  });
}

/** Freezes a value and all that is in it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
