import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import type { ChallengeConfig } from '../config/config.ts';
import { SECOND } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { openWhileUsed } from './open-while-used.ts';
import { listenForChallenges, type PortPurpose } from './port.ts';
import type { ChallengeSolver, SolverSurroundings } from './solver.ts';
import { CHALLENGE_PATH, checkedToken } from './token.ts';

type HttpListenerConfig = Extract<ChallengeConfig, { type: 'http-01'; via: 'listen' }>;

const PURPOSE: PortPurpose = {
  type: 'http-01',
  setting: 'http01.listen',
  instead: 'leave http01 out of the issuer: the tokens then lie in the challenges volume, which podserve apache serves on port 80',
};

/** A request is one small packet; who needs longer is no CA. */
const LONGEST_REQUEST = 5 * SECOND;
const LARGEST_HEADER = 8 * 1024;
const MOST_CONNECTIONS = 1024;

interface Answer {
  readonly keyAuthorization: string;
  uses: number;
}

/** http-01 (RFC 8555 §8.3) by a listener of its own, which is open only while there is something to answer. */
export function httpListenerSolver({ listen }: HttpListenerConfig, { log }: Pick<SolverSurroundings, 'log'>): ChallengeSolver {
  const answers = new Map<string, Answer>();
  const listener = openWhileUsed(() => openListener(listen, (token) => answers.get(token)?.keyAuthorization, log));

  async function cleanup(token: string): Promise<void> {
    const answer = answers.get(token);
    if (answer === undefined) return;
    answer.uses -= 1;
    if (answer.uses === 0) answers.delete(token);
    await listener.leave();
  }

  return {
    type: 'http-01',
    async present(task, signal) {
      signal.throwIfAborted();
      const token = checkedToken(task.token);
      await listener.use();
      const answer = answers.get(token) ?? { keyAuthorization: task.keyAuthorization, uses: 0 };
      answer.uses += 1;
      answers.set(token, answer);
      if (!signal.aborted) return;
      await cleanup(token);
      signal.throwIfAborted();
    },
    cleanup: (task) => cleanup(task.token),
    async [Symbol.asyncDispose]() {
      answers.clear();
      await listener[Symbol.asyncDispose]();
    },
  };
}

async function openListener(listen: string, answerTo: (token: string) => string | undefined, log: Log): Promise<AsyncDisposable> {
  const server = createServer(
    {
      requestTimeout: LONGEST_REQUEST,
      connectionsCheckingInterval: SECOND,
      maxHeaderSize: LARGEST_HEADER,
      requireHostHeader: false,
    },
    (request, response) => respond(request, response, answerTo),
  );
  server.maxConnections = MOST_CONNECTIONS;
  server.timeout = 2 * LONGEST_REQUEST;
  await listenForChallenges(server, listen, PURPOSE);
  server.on('error', (error) => log.warn({ listen, error: messageOf(error) }, 'the listener for http-01 has trouble'));
  log.debug({ listen }, 'listening for http-01');
  return {
    async [Symbol.asyncDispose]() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeAllConnections();
      await promise;
    },
  };
}

function respond(request: IncomingMessage, response: ServerResponse, answerTo: (token: string) => string | undefined): void {
  const headers = { connection: 'close', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { ...headers, allow: 'GET, HEAD', 'content-length': 0 }).end();
    return;
  }
  const [path = ''] = request.url?.split('?') ?? [];
  const text = path.startsWith(CHALLENGE_PATH) ? answerTo(path.slice(CHALLENGE_PATH.length)) : undefined;
  if (text === undefined) {
    response.writeHead(404, { ...headers, 'content-length': 0 }).end();
    return;
  }
  response.writeHead(200, { ...headers, 'content-type': 'text/plain', 'content-length': Buffer.byteLength(text) });
  response.end(request.method === 'HEAD' ? undefined : text);
}
