import type { Log } from './log.ts';
import { createLog, type LogOptions } from './pino-log.ts';

/** Takes one line of JSON with the newline at its end. */
export type LineSink = (line: string) => void;

/** A log that writes JSON lines to every sink. */
export function openLog(level: LogOptions['level'], sinks: readonly LineSink[]): Promise<Log> {
  const write = (line: string): void => {
    for (const sink of sinks) sink(line);
  };
  return createLog({ level, format: 'json' }, { write });
}

/** The sink that prints: JSON as it is, or for people, as `log.format` and the terminal say. */
export async function printingSink(format: LogOptions['format'], interactive: boolean, print: (line: string) => void): Promise<LineSink> {
  const pretty = format === 'pretty' || (format === 'auto' && interactive);
  if (!pretty) return (line) => print(line.trimEnd());
  const prettify = await lineFormatter(interactive);
  return (line) => print(prettify(line));
}

/** Turns one JSON line into the line that people read; any other line stays as it is. */
export async function lineFormatter(colorize: boolean): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty');
  const prettify = prettyFactory({ colorize, singleLine: true, translateTime: 'SYS:yyyy-mm-dd HH:MM:ss' });
  return (line) => (prettify(line) ?? '').trimEnd();
}
