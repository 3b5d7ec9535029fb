import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';

import { messageOf, systemCode } from '../platform/errors.ts';
import { ConversationBroken, converse } from './conversation.ts';
import { preambleOf, type Endpoint, type PreambleProtocol } from './endpoint.ts';
import { ProbeFailure, type FailureDetail, type ProbeStep } from './failure.ts';
import { imap } from './imap.ts';
import { pop3 } from './pop3.ts';
import type { Preamble } from './preamble.ts';
import { smtp } from './smtp.ts';

export interface ConnectOptions {
  /** SNI; undefined sends none. */
  readonly serverName: string | undefined;
  readonly secureContext: SecureContext;
  /** For everything together, ms. */
  readonly timeoutMs: number;
  /** For each step, ms. Default: `timeoutMs`. */
  readonly stepTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A finished handshake. Nothing is judged yet; `hangUp` must be called. */
export interface Secured {
  readonly socket: TLSSocket;
  /** Where the connection led. */
  readonly address: string;
  /** Takes leave as the protocol wants it; never throws, never waits. */
  readonly hangUp: () => void;
}

const PREAMBLES: Readonly<Record<PreambleProtocol, Preamble>> = { smtp, imap, pop3 };
const REFUSED_REMEDY = 'check that the service runs and listens on this port';
/** A peer that does not close is left after this long, ms. */
const LINGER = 500;

/**
 * Connects, speaks the preamble and shakes hands, whatever certificate is shown.
 * @throws ProbeFailure at tcp, greeting, starttls or handshake; the signal's reason when it aborts
 */
export async function connectSecurely(endpoint: Endpoint, options: ConnectOptions): Promise<Secured> {
  options.signal?.throwIfAborted();
  const began = performance.now();
  const attempt = startAttempt(endpoint, options, began);
  const socket = connectTcp({ host: endpoint.host, port: endpoint.port, noDelay: true });
  // Whoever waits hears of it; an error that comes when nobody waits any more must not end the process.
  socket.on('error', () => undefined);
  try {
    await attempt.within(connected(socket), (cause) => ({ why: tcpReason(cause), remedy: REFUSED_REMEDY, cause }));
    const address = `${socket.remoteAddress?.includes(':') ? `[${socket.remoteAddress}]` : socket.remoteAddress}:${socket.remotePort}`;
    const farewell = await speakPreamble(endpoint, socket, attempt);
    attempt.enter('handshake');
    const secured = shakeHands(socket, options);
    await attempt.within(secured.done, (cause) => ({ ...handshakeReason(endpoint, cause), cause }));
    return { socket: secured.socket, address, hangUp: () => hangUp(secured.socket, farewell) };
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    attempt.end();
  }
}

interface Attempt {
  enter(step: ProbeStep): void;
  /** The failure of the present step. */
  fail(detail: Omit<FailureDetail, 'afterMs'>): ProbeFailure;
  /** Waits for `work`, at most as long as step and attempt may last; `explain` turns its error into a failure. */
  within<T>(work: Promise<T>, explain: (error: unknown) => Omit<FailureDetail, 'afterMs'>): Promise<T>;
  /** What the peer said last, for failures that happen while it is spoken to. */
  quote: (() => string) | undefined;
  end(): void;
}

function startAttempt(endpoint: Endpoint, options: ConnectOptions, began: number): Attempt {
  const stopped = Promise.withResolvers<never>();
  stopped.promise.catch(() => undefined);
  const onAbort = (): void => stopped.reject(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });

  let step: ProbeStep = 'tcp';
  let timer: NodeJS.Timeout | undefined;
  const attempt: Attempt = {
    quote: undefined,
    enter(next) {
      step = next;
      clearTimeout(timer);
      const left = options.timeoutMs - (performance.now() - began);
      const allowed = Math.max(0, Math.min(left, options.stepTimeoutMs ?? options.timeoutMs));
      timer = setTimeout(() => stopped.reject(attempt.fail({ ...timeoutReason(endpoint, step, allowed), timedOut: true })), allowed);
    },
    fail: (detail) => new ProbeFailure(endpoint, step, { peerSaid: attempt.quote?.(), ...detail, afterMs: performance.now() - began }),
    async within(work, explain) {
      try {
        return await Promise.race([work, stopped.promise]);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (error instanceof ProbeFailure) throw error;
        throw attempt.fail(explain(error));
      }
    },
    end() {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    },
  };
  attempt.enter('tcp');
  return attempt;
}

function connected(socket: Socket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('connect', resolve);
  socket.once('error', reject);
  return promise;
}

/** @returns what to say inside TLS before hanging up */
async function speakPreamble(endpoint: Endpoint, socket: Socket, attempt: Attempt): Promise<string> {
  const protocol = preambleOf(endpoint.protocol);
  if (protocol === undefined) return '';
  attempt.enter('greeting');
  const { startTls, farewell } = PREAMBLES[protocol];
  const conversation = converse(socket);
  attempt.quote = conversation.said;
  const work = startTls({
    conversation,
    localAddress: socket.localAddress ?? '127.0.0.1',
    greeted: () => attempt.enter('starttls'),
    refuse: (why, remedy) => attempt.fail({ why, remedy }),
  });
  await attempt.within(work, (cause) => ({
    why: cause instanceof ConversationBroken ? cause.message : messageOf(cause),
    remedy: "check the port and see the server's log",
    cause,
  }));
  const unasked = conversation.finish();
  if (unasked > 0) {
    // RFC 3207 §6, RFC 9051 §6.2.1: what came in plain text behind the answer may be an attacker's.
    throw attempt.fail({
      why: `${unasked} bytes of plain text followed its answer: somebody on the way may have put them there`,
      remedy: 'ask again from the same host; if it stays, update the server',
    });
  }
  attempt.quote = undefined;
  return farewell;
}

function shakeHands(tcp: Socket, { serverName, secureContext }: ConnectOptions): { socket: TLSSocket; done: Promise<void> } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connectTls({
    socket: tcp,
    secureContext,
    ...(serverName === undefined ? {} : { servername: serverName }),
    // A wrong certificate is to be described, not refused; names are judged by us alone.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  socket.once('secureConnect', resolve);
  socket.on('error', reject);
  return { socket, done: promise };
}

function hangUp(socket: TLSSocket, farewell: string): void {
  socket.on('error', () => undefined);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
  socket.end(farewell);
  socket.unref();
}

function timeoutReason(endpoint: Endpoint, step: ProbeStep, allowed: number): Omit<FailureDetail, 'afterMs'> {
  const why = `no answer within ${Math.round(allowed)} ms`;
  if (step === 'tcp') return { why, remedy: 'check address, firewall and that the host is up' };
  if (step === 'greeting') {
    return {
      why,
      remedy: `check that the service is alive; if the port expects TLS at once, use ${endpoint.protocol === 'submission' ? 'smtps' : `${endpoint.protocol}s`}://`,
    };
  }
  return { why, remedy: "see the server's log" };
}

function tcpReason(cause: unknown): string {
  const code = systemCode(cause);
  if (code === 'ECONNREFUSED') return 'the connection was refused';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the host name has no address';
  if (cause instanceof AggregateError) return [...new Set(cause.errors.map(messageOf))].join(', ');
  return messageOf(cause);
}

function handshakeReason(endpoint: Endpoint, error: unknown): Omit<FailureDetail, 'afterMs'> {
  const code = systemCode(error) ?? '';
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNEXPECTED_MESSAGE|RECORD/.test(code) && !code.includes('ALERT')) {
    const plain = plainScheme(endpoint);
    return {
      why: 'it answers in something else than TLS, such as plain text',
      remedy: plain === undefined ? 'check the port' : `check the port, or use ${plain}:// for STARTTLS`,
    };
  }
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return { why: 'it closed the connection during the handshake', remedy: "its key or certificate may be unusable: see the server's log" };
  }
  const reason = error instanceof Error && 'reason' in error ? String(error.reason) : messageOf(error);
  if (code.includes('ALERT')) {
    return {
      why: 'it refused the handshake',
      peerSaid: reason,
      remedy: "see the server's log: certificate, key, or no site for this name",
    };
  }
  return { why: reason, remedy: "see the server's log" };
}

function plainScheme(endpoint: Endpoint): string | undefined {
  return endpoint.protocol === 'smtps' || endpoint.protocol === 'imaps' || endpoint.protocol === 'pop3s'
    ? endpoint.protocol.slice(0, -1)
    : undefined;
}
