import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

import { median, type Program } from './measure.ts';

/** What a program and all that it started cost, from start to end. */
export interface Usage {
  readonly wallMs: number;
  /** User and system time. */
  readonly cpuMs: number;
  /** Of the largest of its processes. */
  readonly peakKib: number;
}

/** Node does not tell what its children cost; Python, which certbot needs anyway, is small beside what is measured. */
const METER = `
import json, os, sys, time
began = time.monotonic()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, used = os.wait4(process, 0)
wall = time.monotonic() - began
code = os.waitstatus_to_exitcode(status)
print(json.dumps({'code': code, 'wallMs': wall * 1e3, 'cpuMs': (used.ru_utime + used.ru_stime) * 1e3, 'peakKib': used.ru_maxrss}))
`;

/** Some wait for ever for what does not come; seconds. */
const LONGEST = '120';

/**
 * Runs a program to its end; meanwhile this process goes on with its work, such as answering challenges.
 * @param within a command that runs the one after it in other surroundings, and is not counted
 * @returns undefined where it did not do its work
 */
export async function usageOf(program: Program, within: readonly string[] = []): Promise<Usage | undefined> {
  const { argv, env, cwd, before, code = 0 } = program;
  before?.();
  const args = [LONGEST, ...within, 'python3', '-I', '-S', '-c', METER, ...argv];
  const child = spawn('timeout', args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const [told] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (told === '') throw new Error(`${argv.join(' ')} did not start or did not end`);
  const usage = JSON.parse(told) as Usage & { code: number };
  return usage.code === code ? usage : undefined;
}

/** The middle of each cost. */
export function medianUsage(usages: readonly Usage[]): Usage {
  const middle = (of: (usage: Usage) => number): number => median(usages.map(of));
  return { wallMs: middle(({ wallMs }) => wallMs), cpuMs: middle(({ cpuMs }) => cpuMs), peakKib: middle(({ peakKib }) => peakKib) };
}
