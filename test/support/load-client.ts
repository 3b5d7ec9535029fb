import { createHash, type Hash } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';

/**
 * Load on one HTTPS server, run as a process of its own so that it shares no event loop with what it judges.
 * It counts what a browser would notice: a new connection that is refused or broken, and a response that breaks
 * after its first byte. A request on a reused connection that closes before any byte of the answer is sent once more
 * on a new connection, as every HTTP/1.1 client does, and is counted apart. Messages: `stop` in, the counts out.
 */
export interface LoadOrder {
  readonly port: number;
  readonly connections: number;
  readonly keepAlive: number;
  /** Path of a small answer and of a large one. */
  readonly small: string;
  readonly large: string;
}

export interface LoadCounts {
  readonly newConnections: number;
  readonly keptRequests: number;
  readonly retried: number;
  readonly failures: readonly string[];
  readonly download: { readonly bytes: number; readonly sha256: string } | undefined;
}

const TIMEOUT = 10_000;
/** About 1 MB/s until the end is asked for. */
const SLOW_BYTES = 32 * 1024;
const SLOW_PAUSE = 30;

const stop = new AbortController();
let newConnections = 0;
let keptRequests = 0;
let retried = 0;
const failures: string[] = [];
let download: LoadCounts['download'];

/** Before any byte of an answer on a reused connection: the one end that a client may try again. */
class ClosedEarly extends Error {}

async function open(port: number): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false }, () => resolve(socket));
  socket.on('error', reject);
  socket.setTimeout(TIMEOUT, () => socket.destroy(new Error('it hangs')));
  return promise;
}

interface Answer {
  readonly bytes: number;
  readonly keep: boolean;
}

/** One request and its whole answer, which must be a 200 with a Content-Length. */
function request(socket: TLSSocket, path: string, keep: boolean, slow?: Hash): Promise<Answer> {
  // Closed while it was idle: that event has gone by.
  if (socket.destroyed || socket.readableEnded) return Promise.reject(new ClosedEarly('closed while idle'));
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  let head = '';
  let length = -1;
  let bytes = 0;
  let keeps = true;
  const done = (act: () => void): void => {
    socket.off('data', take).off('close', broken).off('error', broken);
    act();
  };
  const broken = (error?: Error | boolean): void => {
    const why = error instanceof Error ? error.message : 'closed';
    const early = head === '' && length < 0;
    done(() => reject(early ? new ClosedEarly(why) : new Error(`broken after ${bytes} of ${length} bytes: ${why}`)));
  };
  const body = (data: Buffer): void => {
    bytes += data.length;
    slow?.update(data);
    if (bytes >= length) return done(() => resolve({ bytes, keep: keeps }));
    if (slow === undefined || stop.signal.aborted) return;
    socket.pause();
    setTimeout(() => socket.resume(), (SLOW_PAUSE * data.length) / SLOW_BYTES);
  };
  const take = (data: Buffer): void => {
    if (length >= 0) return body(data);
    head += data.toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const status = head.slice(0, head.indexOf('\r\n'));
    length = Number(/^content-length: (\d+)/im.exec(head.slice(0, end + 2))?.[1] ?? NaN);
    keeps = !/^connection: close/im.test(head.slice(0, end + 2));
    if (!status.startsWith('HTTP/1.1 200') || Number.isNaN(length)) return done(() => reject(new Error(`answered ${status}`)));
    body(Buffer.from(head.slice(end + 4), 'latin1'));
  };
  socket.on('data', take).on('close', broken).on('error', broken);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: ${keep ? 'keep-alive' : 'close'}\r\n\r\n`);
  return promise;
}

async function newConnectionsLoop({ port, small }: LoadOrder): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      const socket = await open(port);
      await request(socket, small, false);
      socket.destroy();
      newConnections += 1;
    } catch (error) {
      failures.push(`new connection: ${error instanceof Error ? error.message : String(error)}`);
    }
    await pause(5);
  }
}

async function keepAliveLoop({ port, small }: LoadOrder): Promise<void> {
  let socket: TLSSocket | undefined;
  while (!stop.signal.aborted) {
    const reused = socket !== undefined;
    try {
      socket ??= await open(port);
      const { keep } = await request(socket, small, true);
      keptRequests += 1;
      if (!keep) {
        socket.destroy();
        socket = undefined;
      }
    } catch (error) {
      socket?.destroy();
      socket = undefined;
      if (reused && error instanceof ClosedEarly) {
        retried += 1;
        continue;
      }
      failures.push(`${reused ? 'reused' : 'new'} kept connection: ${error instanceof Error ? error.message : String(error)}`);
    }
    await pause(5);
  }
  socket?.destroy();
}

async function slowDownload({ port, large }: LoadOrder): Promise<void> {
  const hash = createHash('sha256');
  try {
    const socket = await open(port);
    const { bytes } = await request(socket, large, false, hash);
    socket.destroy();
    download = { bytes, sha256: hash.digest('hex') };
    if (!stop.signal.aborted) failures.push('the slow download was over before the load was: it proved nothing of the rest');
  } catch (error) {
    failures.push(`slow download: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function work(order: LoadOrder): Promise<void> {
  const loops = [
    slowDownload(order),
    ...Array.from({ length: order.connections }, () => newConnectionsLoop(order)),
    ...Array.from({ length: order.keepAlive }, () => keepAliveLoop(order)),
  ];
  process.send?.('started');
  await Promise.all(loops);
  process.send?.({ newConnections, keptRequests, retried, failures, download } satisfies LoadCounts);
  process.disconnect?.();
}

process.on('message', (message: LoadOrder | 'stop') => {
  if (message === 'stop') stop.abort();
  else void work(message);
});
