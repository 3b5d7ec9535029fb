/**
 * Every error that PodServe reports on purpose has a stable code from this list.
 * docs/errors.md documents each; a test holds the two equal.
 */
export const ERROR_CODES = {
  USAGE: 'the command line is wrong',
  CONFIG_INVALID: 'the configuration is wrong',
  CONFIG_UNREADABLE: 'the configuration cannot be read',
  IDENTIFIER_INVALID: 'a name or address cannot stand in a certificate',
  BUNDLE_INVALID: 'key, certificate and chain do not belong together or cannot be read',
  ISSUE_FAILED: 'an issuer did not give a certificate',
  CHALLENGE_FAILED: 'the answer to a challenge could not be put in place',
  AUTHORITY_UNREADABLE: 'the built-in CA or an ACME account cannot be read',
  AUTHORITY_UNWRITABLE: 'the built-in CA or an ACME account cannot be written',
  PUBLICATION_UNREADABLE: 'the publication cannot be read',
  PUBLICATION_UNWRITABLE: 'the publication cannot be written',
  PUBLICATION_LOCKED: 'another process is publishing',
  PUBLICATION_NEWER: 'the state was written by a newer version',
  LEDGER_UNUSABLE: 'the ledger cannot be used',
  CLOCK_BEHIND: 'the clock is behind the newest recorded event',
  WAIT_TIMEOUT: 'no complete certificate appeared in time',
  PROBE_FAILED: 'an endpoint does not serve what it should',
  DAEMON_MISSING: 'a daemon that the service needs is not installed',
  DAEMON_FAILED: 'a daemon does not start or stay up',
  COMMAND_FAILED: 'a command that was given for reloading or checking failed',
  PODMAN_MISSING: 'pods need podman, and it is not installed',
  PODMAN_FAILED: 'podman did not do what it was asked for',
  PORT_TAKEN: 'a port is in use',
  PORT_DENIED: 'a port may not be used by this user',
  TRUST_STORE_FAILED: 'a trust store could not be changed',
  IMPORT_FAILED: 'certificates could not be imported',
  BACKUP_FAILED: 'a backup could not be written',
  RESTORE_FAILED: 'a backup could not be restored',
  STATE_UNREADABLE: 'the state directory cannot be read',
  STATE_UNWRITABLE: 'the state directory cannot be written',
  FILE_UNWRITABLE: 'a file that was asked for cannot be written',
  NOT_RUNNING: 'nothing is running here',
  IMAGE_FAILED: 'an image could not be built',
  ALREADY_RUNNING: 'it is running already',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorDetail {
  /** The file, address, configuration path or name that it is about. */
  readonly where?: string;
  /** What was found, and why that is wrong. */
  readonly why?: string;
  /** What the reader can do about it. */
  readonly remedy?: string;
  /** One line each, when several things are wrong at once. */
  readonly problems?: readonly string[];
  readonly cause?: unknown;
}

/** Codes that mean the caller asked for something impossible: exit code 2, nothing was changed. */
const CALLER_ERRORS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['USAGE', 'CONFIG_INVALID', 'CONFIG_UNREADABLE', 'IDENTIFIER_INVALID']);

/**
 * The one error type. `message` says what was attempted and failed, in one clause;
 * `where`, `why` and `remedy` complete the line that the user reads.
 */
export class PodserveError extends Error {
  override readonly name = 'PodserveError';
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly why: string | undefined;
  readonly remedy: string | undefined;
  readonly problems: readonly string[];

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.where = detail.where;
    this.why = detail.why;
    this.remedy = detail.remedy;
    this.problems = detail.problems ?? [];
  }

  /** 2 when the input was wrong and nothing was changed, 1 otherwise. */
  get exitCode(): 1 | 2 {
    return CALLER_ERRORS.has(this.code) ? 2 : 1;
  }
}

/** `what: where: why; remedy` on one line, and each of its problems after a ` | `: for logs. Never contains key material. */
export function describeError(error: unknown): string {
  return errorLines(error).join(' | ');
}

/** The same for terminals: one line, and one more for each of its problems. */
export function errorLines(error: unknown): string[] {
  if (!(error instanceof PodserveError)) return [oneLine(messageOf(error))];
  const head = [error.message, error.where, error.why ?? causeLine(error)].filter(Boolean).join(': ');
  return [error.remedy === undefined ? head : `${head}; ${error.remedy}`, ...error.problems].map(oneLine);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The code of a system error (`ENOENT`, `EADDRINUSE` …), or undefined. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : undefined;
}

function causeLine(error: Error): string | undefined {
  return error.cause === undefined ? undefined : messageOf(error.cause);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}
