import { statePaths, type StatePaths } from '../config/state.ts';
import type { Config } from '../config/config.ts';
import type { CertificateSpec } from '../certificate/spec.ts';
import { PodserveError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { EventHook } from '../services/event-hook.ts';
import { text, type Arguments, type Context } from './command.ts';

/** `--state`, else PODSERVE_STATE, which the images set; default ./data. */
export function pathsOf(args: Arguments, context: Context): StatePaths {
  return statePaths(text(args, 'state') ?? (context.env['PODSERVE_STATE'] || 'data'), context.cwd);
}

/** What `loadConfig` takes, from `--config` and the environment. */
export function sourceOf(args: Arguments, context: Context): { file?: string; env: Context['env']; cwd: string } {
  const file = text(args, 'config');
  return { ...(file === undefined ? {} : { file }), env: context.env, cwd: context.cwd };
}

/**
 * The certificates named by `--name`, or all.
 * @throws PodserveError USAGE for a name that is not configured
 */
export function selected(args: Arguments, config: Config): readonly CertificateSpec[] {
  const names = args.values['name'];
  if (!Array.isArray(names)) return config.certificates;
  return names.map((name) => {
    const spec = config.certificates.find((one) => one.name === name);
    if (spec !== undefined) return spec;
    const known = config.certificates.map((one) => one.name);
    const shown = known.length > 10 ? `${known.slice(0, 10).join(', ')} and ${known.length - 10} more` : known.join(', ');
    throw new PodserveError('USAGE', `no certificate ${JSON.stringify(name)} is configured`, {
      where: '--name',
      remedy: `configured: ${shown}`,
    });
  });
}

/** The program of `onEvent`, ready to be told; undefined when none is configured. */
export async function hookOf(config: Config, context: Context, log: Log): Promise<EventHook | undefined> {
  if (config.onEvent === undefined) return undefined;
  const { eventHook } = await import('../services/event-hook.ts');
  return eventHook(config.onEvent, log, { env: context.env, clock: context.clock, signal: context.signal });
}
