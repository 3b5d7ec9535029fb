import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** A claim about the code that a tool can find false. */
export interface Step {
  readonly claim: string;
  readonly command: readonly string[];
}

export const STATIC_STEPS: readonly Step[] = [
  { claim: 'the types agree', command: ['tsc'] },
  { claim: 'the code keeps the lint rules', command: ['oxlint', '--type-aware', '--max-warnings=0'] },
  { claim: 'every file is formatted', command: ['oxfmt', '--check', '.'] },
  { claim: 'no file, export or dependency is unused', command: ['knip', '--no-progress'] },
];

/** Runs a tool of node_modules/.bin. Its output comes back when it found something. */
export async function runStep({ command }: Step, signal: AbortSignal): Promise<{ ok: boolean; output: string }> {
  const [tool = '', ...args] = command;
  const { promise, resolve } = Promise.withResolvers<{ ok: boolean; output: string }>();
  // The tools are scripts for the Node that comes first in PATH.
  const bin = join(process.cwd(), 'node_modules/.bin');
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
  const child = spawn(join(bin, tool), args, { env, stdio: ['ignore', 'pipe', 'pipe'], signal });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  child.once('error', (error) => resolve({ ok: false, output: `${output}${error.message}` }));
  child.once('close', (code) => resolve({ ok: code === 0, output }));
  return promise;
}
