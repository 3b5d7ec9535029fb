import type { Config } from '../config/config.ts';
import type { Arguments, Context } from './command.ts';
import { sourceOf } from './settings.ts';

/** Reads the configuration for a process that stays; asked again at SIGHUP. */
export function configLoader(args: Arguments, context: Context): () => Promise<Config> {
  return async () => {
    const { loadConfigApart } = await import('../config/apart.ts');
    return loadConfigApart(sourceOf(args, context), [process.execPath, process.argv[1] ?? ''], context.signal);
  };
}

/** Resolves when somebody asked this process to end. */
export async function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}
