import { PodserveError, describeError } from './errors.ts';
import type { Log, LogFields } from './log.ts';
import { redactKeys } from './redact.ts';

/** Where lines go: one call each, with its newline. */
export interface LogDestination {
  write(line: string): unknown;
  /** Whether a person reads it at a terminal. */
  readonly isTTY?: boolean;
}

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** `auto`: pretty on a terminal, JSON elsewhere. */
  readonly format: 'auto' | 'json' | 'pretty';
}

/**
 * The log of services: JSON lines with ISO time and level names, or lines for people. Written
 * synchronously, so that the last words before an end are not lost; standard output is for results.
 * pino and pino-pretty are loaded here, not at start.
 */
export async function createLog(options: LogOptions, destination: LogDestination = process.stderr): Promise<Log> {
  const { pino, stdTimeFunctions } = await import('pino');
  const write = await writer(options.format, destination);
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: plainFields, bindings: plainFields },
    },
    { write: (line: string) => void destination.write(redactKeys(write(line))) },
  );
  return logger;
}

async function writer(format: LogOptions['format'], destination: LogDestination): Promise<(line: string) => string> {
  const terminal = destination.isTTY === true;
  if (format === 'json' || (format === 'auto' && !terminal)) return (line) => line;
  const { prettyFactory } = await import('pino-pretty');
  const pretty = prettyFactory({ colorize: terminal, translateTime: 'SYS:yyyy-mm-dd HH:MM:ss', singleLine: true });
  return (line) => pretty(line) ?? '';
}

/** Errors become what a reader needs of them; bytes are counted, never written. */
function plainFields(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plainValue(value)]));
}

function plainValue(value: unknown): unknown {
  if (value instanceof PodserveError) return { code: value.code, message: describeError(value) };
  if (value instanceof Error) return { message: describeError(value), stack: value.stack };
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  return value;
}
