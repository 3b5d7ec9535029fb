import { SECOND, type Clock } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import type { Podman } from './podman.ts';
import type { Pod } from './pods.ts';

/** One container whose log is shown. */
export interface LogSource {
  readonly pod: string;
  readonly service: string;
  /** As podman calls the container. */
  readonly container: string;
}

export interface LogLine {
  readonly source: LogSource;
  /** ms since the epoch. */
  readonly at: number;
  /** As podman writes it, in nanoseconds. */
  readonly stamp: string;
  readonly text: string;
}

const ASK_AGAIN_EVERY = SECOND;
const READ_WITHIN = 30 * SECOND;

/**
 * The containers of the pods or services of these names; all where none is named.
 * @throws PodserveError USAGE for a name that is neither
 */
export function sourcesOf(pods: readonly Pod[], names: readonly string[]): LogSource[] {
  const all = pods
    .toReversed()
    .flatMap(({ name: pod, containers }) => containers.map(({ name: container, service }) => ({ pod, service, container })));
  const known = new Set(all.flatMap(({ pod, service }) => [service, pod]));
  for (const name of names) {
    if (!known.has(name))
      throw new PodserveError('USAGE', `no service ${JSON.stringify(name)} runs in pods here`, {
        remedy: `there are ${[...known].join(', ')}`,
      });
  }
  return names.length === 0 ? all : all.filter(({ pod, service }) => names.includes(pod) || names.includes(service));
}

/** The last lines of all together, in the order of their times. */
export async function lastLines(podman: Podman, sources: readonly LogSource[], count: number): Promise<LogLine[]> {
  if (count === 0) return [];
  const each = await Promise.all(
    sources.map(async (source) => {
      const args = ['logs', '--timestamps', '--tail', String(count), source.container];
      const { stdout, stderr } = await podman.ask(args, { timeoutMs: READ_WITHIN });
      return [...stdout.split('\n'), ...stderr.split('\n')].flatMap((line) => parseLine(source, line) ?? []);
    }),
  );
  return each
    .flat()
    .toSorted((one, other) => one.at - other.at || compare(fraction(one.stamp), fraction(other.stamp)))
    .slice(-count);
}

/**
 * Shows what is added until the signal aborts. A container that ends is waited for: its pod starts it again, or
 * another takes its name.
 * @param shown what was shown before and is not shown again
 */
export async function followLines(
  podman: Podman,
  sources: readonly LogSource[],
  shown: readonly LogLine[],
  show: (line: LogLine) => void,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  const began = new Date(clock.now()).toISOString();
  await Promise.all(
    sources.map(async (source) => {
      let last = shown.findLast((line) => line.source.container === source.container);
      while (!signal.aborted) {
        const take = (text: string): void => {
          const line = parseLine(source, text);
          if (line === undefined || (last !== undefined && !isAfter(line, last))) return;
          last = line;
          show(line);
        };
        await podman.follow(['logs', '--timestamps', '--follow', '--since', last?.stamp ?? began, source.container], take, signal);
        await clock.sleep(ASK_AGAIN_EVERY, signal);
      }
    }),
  );
}

/** Podman writes RFC 3339 times with nanoseconds, and its own words without. */
function parseLine(source: LogSource, line: string): LogLine | undefined {
  const [, stamp, text] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*) (.*)$/.exec(line.trimEnd()) ?? [];
  if (stamp === undefined || text === undefined) return undefined;
  const at = Date.parse(stamp.replace(/(\.\d{3})\d*/, '$1'));
  return Number.isNaN(at) ? undefined : { source, at, stamp, text };
}

function isAfter(line: LogLine, last: LogLine): boolean {
  return line.at > last.at || (line.at === last.at && compare(fraction(line.stamp), fraction(last.stamp)) > 0);
}

/** Digits after the second, of one length. */
function fraction(stamp: string): string {
  return (/\.(\d+)/.exec(stamp)?.[1] ?? '').padEnd(9, '0');
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
