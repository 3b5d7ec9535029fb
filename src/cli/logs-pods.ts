import { followLines, lastLines, sourcesOf, type LogLine } from '../services/pods/logs.ts';
import type { Present } from '../services/pods/present.ts';
import type { Context } from './command.ts';

export interface PodLogs {
  /** Services or pods; none: all. */
  readonly names: readonly string[];
  readonly count: number;
  readonly follow: boolean;
  readonly json: boolean;
}

/** `podserve logs` where pods keep their data: their logs in one, each line with its service before it. */
export async function showPodLogs({ podman, here }: Present, { names, count, follow, json }: PodLogs, context: Context): Promise<number> {
  const sources = sourcesOf(here, names);
  const width = Math.max(...sources.map(({ service }) => service.length));
  const { lineFormatter } = await import('../platform/open-log.ts');
  const format = await lineFormatter(context.interactive);
  const show = (line: LogLine): void =>
    context.out(
      json ? asJson(line) : `${line.source.service.padEnd(width)} | ${line.text.startsWith('{') ? format(line.text) : line.text}`,
    );
  const last = await lastLines(podman, sources, count);
  for (const line of last) show(line);
  if (follow) await followLines(podman, sources, last, show, context);
  return 0;
}

/** The fields of a line of ours with its container before them; any other line as its text. */
function asJson({ source, stamp, text }: LogLine): string {
  const head = { pod: source.pod, service: source.service };
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return JSON.stringify({ ...head, ...value });
  } catch {
    // A daemon's own line.
  }
  return JSON.stringify({ ...head, time: stamp, line: text });
}
