import type { LogConfig } from '../config/config.ts';
import type { Log } from './log.ts';

/** Takes one line of JSON with the newline at its end. */
export type LineSink = (line: string) => void;

/** A log that writes JSON lines (pino's, with the level by name and the time in ISO 8601) to every sink. */
export async function openLog(level: LogConfig['level'], sinks: readonly LineSink[]): Promise<Log> {
  const { pino } = await import('pino');
  const write = (line: string): void => {
    for (const sink of sinks) sink(line);
  };
  const log: Log = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
  return log;
}

/** The sink that prints: JSON as it is, or for people, as `log.format` and the terminal say. */
export async function printingSink(format: LogConfig['format'], interactive: boolean, print: (line: string) => void): Promise<LineSink> {
  const pretty = format === 'pretty' || (format === 'auto' && interactive);
  if (!pretty) return (line) => print(line.trimEnd());
  const prettify = await lineFormatter(interactive);
  return (line) => print(prettify(line));
}

/** Turns one JSON line into the line that people read. */
export async function lineFormatter(colorize: boolean): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty');
  const prettify = prettyFactory({ colorize, singleLine: true, translateTime: 'SYS:yyyy-mm-dd HH:MM:ss', ignore: 'pid,hostname' });
  return (line) => prettify(line).trimEnd();
}
