import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';

/** A pipe that a daemon writes lines to. */
export interface LinePipe extends Disposable {
  /** A new descriptor of the writing end, to be given to a child and closed here. */
  openForChild(): number;
}

const LONGEST_LINE = 16 * 1024;

/**
 * Makes a named pipe and calls `onLine` for each line that arrives.
 * Not a pipe of node:child_process, because that is a socket: a daemon that opens /dev/stderr (Apache, Dovecot,
 * Postfix) gets ENXIO there. The reading end is open for writing too, so it outlives each daemon.
 */
export function openLinePipe(directory: string, name: string, onLine: (line: string) => void): LinePipe {
  const path = join(directory, `${name}.pipe`);
  rmSync(path, { force: true });
  execFileSync('mkfifo', ['-m', '600', path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: true, writable: false });
  const decoder = new StringDecoder('utf8');
  let rest = '';
  socket.on('data', (data: Buffer) => {
    const lines = (rest + decoder.write(data)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE) lines.push(rest.slice(0, LONGEST_LINE), (rest = ''));
    for (const line of lines) if (line !== '') onLine(line);
  });
  socket.on('error', () => undefined);
  // Words of a daemon alone shall not keep the process.
  socket.unref();
  return {
    openForChild: () => openSync(path, constants.O_WRONLY),
    [Symbol.dispose]() {
      socket.destroy();
      rmSync(path, { force: true });
    },
  };
}

/** Closes a descriptor that may be closed already. */
export function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It was closed: nothing is lost.
  }
}
