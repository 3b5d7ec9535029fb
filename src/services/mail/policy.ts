import { chmodSync, chownSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';

import { HOUR, type Clock } from '../../platform/clock.ts';
import type { Log } from '../../platform/log.ts';

export interface SendPolicyOptions {
  /** Path of the socket. */
  readonly socket: string;
  /** Whose group Postfix is in. */
  readonly gid: number;
  /** Recipients that one account may have in an hour; asked at each message. */
  readonly limit: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

const LARGEST_REQUEST = 64 * 1024;

/**
 * Answers Postfix whether an account may send one more message (Postfix SMTPD_POLICY_README, at the end of the data). It
 * counts recipients in memory, account by account, over the last hour: a stolen password sends no flood.
 */
export async function openSendPolicy(options: SendPolicyOptions): Promise<AsyncDisposable> {
  const sent = new Map<string, { at: number; recipients: number }[]>();
  const connections = new Set<Socket>();

  function answer(request: string): string {
    const fields = new Map(request.split('\n').map((line) => splitOnce(line)));
    const account = (fields.get('sasl_username') ?? '').toLowerCase();
    if (account === '') return 'DUNNO';
    const now = options.clock.now();
    const recent = (sent.get(account) ?? []).filter(({ at }) => now - at < HOUR && at <= now);
    const recipients = Math.max(1, Number(fields.get('recipient_count') ?? 1) || 1);
    const before = recent.reduce((sum, one) => sum + one.recipients, 0);
    if (before + recipients > options.limit()) {
      options.log.warn({ account, recipients: before, limit: options.limit() }, 'an account has reached what it may send in an hour');
      sent.set(account, recent);
      return `defer 4.7.1 ${account} may send to ${options.limit()} recipients in an hour; try again later`;
    }
    sent.set(account, [...recent, { at: now, recipients }]);
    return 'DUNNO';
  }

  const server = createServer((socket) => {
    connections.add(socket);
    let pending = '';
    socket.setEncoding('utf8');
    socket.on('close', () => connections.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (data: string) => {
      pending += data;
      if (pending.length > LARGEST_REQUEST) return void socket.destroy();
      for (let end = pending.indexOf('\n\n'); end !== -1; end = pending.indexOf('\n\n')) {
        socket.write(`action=${answer(pending.slice(0, end))}\n\n`);
        pending = pending.slice(end + 2);
      }
    });
  });
  rmSync(options.socket, { force: true });
  const listening = Promise.withResolvers<void>();
  server.once('error', listening.reject);
  server.listen(options.socket, listening.resolve);
  await listening.promise;
  chownSync(options.socket, 0, options.gid);
  chmodSync(options.socket, 0o660);
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of connections) socket.destroy();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}

function splitOnce(line: string): [string, string] {
  const at = line.indexOf('=');
  return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}
