import { createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** A TCP server on 127.0.0.1 that misbehaves as told; it and its connections end with the test. @returns its port */
export async function faultServer(t: Pick<TestContext, 'after'>, onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  return listenUntilEnd(t, server);
}

/** Listens on a free port of 127.0.0.1 until the test ends; connections are cut then. @returns the port */
export async function listenUntilEnd(t: Pick<TestContext, 'after'>, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Answers each line with what `script` has for its first matching pattern; the greeting goes out at once. */
export function scripted(greeting: string, script: readonly (readonly [RegExp, string])[]): (socket: Socket) => void {
  return (socket) => {
    socket.write(greeting);
    let pending = '';
    socket.on('data', (data) => {
      pending += data.toString('latin1');
      for (let end = pending.indexOf('\r\n'); end !== -1; end = pending.indexOf('\r\n')) {
        const line = pending.slice(0, end);
        pending = pending.slice(end + 2);
        const answer = script.find(([pattern]) => pattern.test(line))?.[1];
        if (answer !== undefined) socket.write(answer);
      }
    });
  };
}
