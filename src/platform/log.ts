/** What a log line may carry. Keys and secrets never go in. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Constant messages with fields, in the order pino takes them. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** The same log with `fields` on every line. */
  child(fields: LogFields): Log;
}

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
