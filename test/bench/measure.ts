import { spawnSync } from 'node:child_process';

/** A whole program, from start to end. */
export interface Program {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Before each run, outside the time that counts. */
  readonly before?: () => void;
  /** The exit code that means it did its work; 0 when not given. */
  readonly code?: number;
}

/** One line of the table. The bench prints whether an aim was met and never fails because of it. */
export interface Row {
  readonly what: string;
  readonly ours: string;
  readonly peer: string;
  readonly ratio: string;
  readonly aim: string;
  readonly met: boolean | undefined;
}

/** Milliseconds from the start to the end of a process. */
export function timeOf({ argv: [program = '', ...args], env, cwd, before, code = 0 }: Program): number {
  before?.();
  const start = process.hrtime.bigint();
  const { status, error, stderr } = spawnSync(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  const ms = Number(process.hrtime.bigint() - start) / 1e6;
  if (status !== code) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${error?.message ?? stderr.toString()}`);
  return ms;
}

/** The middle of the measured times. */
export function median(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Medians of programs that take turns, so that a change of the machine's load meets all of them; one round before is not counted. */
export function inTurn(programs: readonly Program[], rounds: number): number[] {
  const times: number[][] = programs.map(() => []);
  for (let round = -1; round < rounds; round += 1) {
    for (const [index, program] of programs.entries()) {
      const ms = timeOf(program);
      if (round >= 0) times[index]?.push(ms);
    }
  }
  return times.map(median);
}

/** A line that compares two times, with an aim for their ratio. */
export function ratioRow(what: string, ours: number, peerName: string, peer: number, most: number | undefined): Row {
  const ratio = ours / peer;
  return {
    what,
    ours: milliseconds(ours),
    peer: `${peerName} ${milliseconds(peer)}`,
    ratio: ratio < 0.1 ? ratio.toFixed(3) : ratio.toFixed(2),
    aim: most === undefined ? '' : `≤ ${most} ×`,
    met: most === undefined ? undefined : ratio <= most,
  };
}

export function milliseconds(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** Whether Debian's package of a peer is installed. */
export function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}
