import { accessSync, constants } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

import { text, type Arguments, type Context } from './command.ts';

/** `podserve …` as this user types it from here: by name where it is on the search path, else by the path of the checkout; with the same --state and --config. */
export function asTyped(words: string, args: Arguments, context: Pick<Context, 'env' | 'cwd'>): string {
  const options = ['state', 'config'].flatMap((name) => {
    const value = text(args, name);
    return value === undefined ? [] : [`--${name}`, quoted(value)];
  });
  return [programOf(context), words, ...options].join(' ');
}

function programOf({ env, cwd }: Pick<Context, 'env' | 'cwd'>): string {
  const onPath = (env['PATH'] ?? '').split(':').some((directory) => directory !== '' && isProgram(join(directory, 'podserve')));
  const launcher = resolve(dirname(process.argv[1] ?? ''), '../bin/podserve');
  if (onPath || !isProgram(launcher)) return 'podserve';
  const here = relative(cwd, launcher);
  return here.startsWith('../..') ? launcher : here;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function quoted(value: string): string {
  return /^[\w./:@%+=-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}
