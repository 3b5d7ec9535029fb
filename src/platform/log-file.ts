import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectories } from './files.ts';

/** A log on disk that cannot grow without bound. */
export interface LogFile extends Disposable {
  readonly path: string;
  /** Appends one line, newline included. A disk that takes no more costs the line, never the process. */
  write(line: string): void;
}

export const LOG_NAME = 'podserve.log';
/** Two files of this size: at most 4 MiB, some 20,000 lines. */
const LARGEST = 2 * 1024 * 1024;

/**
 * Opens `podserve.log` in a directory, which is made. When it reaches 2 MiB it becomes `podserve.log.1`, in place of
 * the one before, and a new one begins. Only the resident process of a state directory writes there.
 * @throws the system's error when directory or file cannot be made
 */
export function openLogFile(directory: string, largest = LARGEST): LogFile {
  makeDirectories(directory, 0o750);
  const path = join(directory, LOG_NAME);
  let fd = openSync(path, 'a', 0o640);
  let size = fstatSync(fd).size;
  return {
    path,
    write(line) {
      try {
        if (size >= largest) {
          renameSync(path, `${path}.1`);
          const former = fd;
          fd = openSync(path, 'a', 0o640);
          closeSync(former);
          size = 0;
        }
        size += writeSync(fd, line);
      } catch {
        // The terminal and the ledger have it too.
      }
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}
