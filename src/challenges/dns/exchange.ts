import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { connect, isIP } from 'node:net';

import { parseListen, type Listen } from '../../config/listen.ts';
import { SECOND } from '../../platform/clock.ts';
import { messageOf, systemCode } from '../../platform/errors.ts';
import { decodeMessage, type DnsMessage, type Question } from './message.ts';
import { DnsFormatError } from './name.ts';

/** Why a server gave no answer. */
export type DnsFailureKind =
  | 'unresolvable' // its host name has no address
  | 'unreachable' // nobody listens, or there is no way there
  | 'silent' // nothing came in time
  | 'malformed'; // what came is no answer

/** One server gave no answer to use. The message names the server and what happened. */
export class DnsFailure extends Error {
  override readonly name = 'DnsFailure';
  readonly kind: DnsFailureKind;

  constructor(kind: DnsFailureKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** One request as it is sent once: each try has an id, and where it is signed a signature, of its own. */
export interface Attempt<T> {
  readonly wire: Buffer;
  readonly id: number;
  readonly opcode: number;
  readonly question: Question;
  /** @throws DnsFormatError where this is no answer to it, so that the next datagram is waited for; else ends the exchange */
  accept(wire: Buffer, message: DnsMessage): T;
}

export interface ExchangeOptions {
  /** How long each try waits, ms. */
  readonly timeoutMs?: number;
  readonly tries?: number;
  readonly signal?: AbortSignal | undefined;
}

const TIMEOUT = 2 * SECOND;
const TRIES = 3;
/** TCP has to come about first, and carries what is large. */
const TCP_TIMEOUT = 5 * SECOND;

/**
 * Sends a request over UDP, again when nothing comes, and over TCP when the answer was cut off (RFC 7766 §5).
 * @param server `host:port`; each address of a host name is tried until one answers
 * @throws DnsFailure; the signal's reason; what `accept` throws
 */
export async function exchange<T>(server: string, attempt: () => Attempt<T>, options: ExchangeOptions = {}): Promise<T> {
  const { timeoutMs = TIMEOUT, tries = TRIES, signal } = options;
  let failure: unknown;
  for (const address of await addressesOf(server, signal)) {
    for (let round = 0; round < tries; round++) {
      signal?.throwIfAborted();
      try {
        return await overUdp({ server, address, attempt: attempt(), timeoutMs, signal });
      } catch (error) {
        if (error instanceof Truncated) return await overTcp({ server, address, attempt: attempt(), timeoutMs: TCP_TIMEOUT, signal });
        if (!(error instanceof DnsFailure)) throw error;
        failure = error;
        if (error.kind === 'unreachable') break;
      }
    }
  }
  throw failure;
}

/** The answer did not fit into a datagram. Never leaves this module. */
class Truncated extends Error {}

interface Trial<T> {
  readonly server: string;
  readonly address: Listen;
  readonly attempt: Attempt<T>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

async function addressesOf(server: string, signal: AbortSignal | undefined): Promise<Listen[]> {
  const place = parseListen(server);
  if (place === undefined) throw new DnsFailure('unresolvable', `${JSON.stringify(server)} is no host:port`);
  if (isIP(place.host) !== 0) return [place];
  try {
    const found = await untilAborted(lookup(place.host, { all: true }), signal);
    return found.map(({ address }) => ({ host: address, port: place.port }));
  } catch (error) {
    signal?.throwIfAborted();
    throw new DnsFailure('unresolvable', `the host name of ${server} has no address (${systemCode(error) ?? messageOf(error)})`, error);
  }
}

async function overUdp<T>({ server, address, attempt, timeoutMs, signal }: Trial<T>): Promise<T> {
  const socket = createSocket(isIP(address.host) === 6 ? 'udp6' : 'udp4');
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let nonsense: DnsFormatError | undefined;
  const fail = (error: Error): void => reject(unreachable(server, error));
  socket.on('error', fail);
  socket.on('message', (wire) => {
    try {
      const message = answerTo(attempt, wire);
      if (message.truncated) reject(new Truncated());
      else resolve(attempt.accept(wire, message));
    } catch (error) {
      // Whoever can send from the server's address may send before the server does: the real answer is waited for.
      if (error instanceof DnsFormatError) nonsense = error;
      else reject(error);
    }
  });
  // A connected socket takes datagrams from this address and port alone, and learns that nobody listens there.
  socket.once('connect', () => socket.send(attempt.wire, (error) => error && fail(error)));
  socket.connect(address.port, address.host);
  const silence = (): DnsFailure => silent(server, timeoutMs, nonsense);
  return await within({ promise, ms: timeoutMs, late: silence, signal, close: () => socket.close() });
}

async function overTcp<T>({ server, address, attempt, timeoutMs, signal }: Trial<T>): Promise<T> {
  const socket = connect(address.port, address.host);
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let received = Buffer.alloc(0);
  socket.on('error', (error) => reject(unreachable(server, error)));
  socket.on('close', () => reject(new DnsFailure('malformed', `${server} ended the connection before its answer was complete`)));
  socket.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data]);
    if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
    const wire = received.subarray(2, 2 + received.readUInt16BE(0));
    try {
      resolve(attempt.accept(wire, answerTo(attempt, wire)));
    } catch (error) {
      reject(error instanceof DnsFormatError ? malformed(server, error) : error);
    }
    socket.destroy();
  });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(attempt.wire.length);
  socket.write(Buffer.concat([length, attempt.wire]));
  return await within({ promise, ms: timeoutMs, late: () => silent(server, timeoutMs, undefined), signal, close: () => socket.destroy() });
}

function answerTo(attempt: Attempt<unknown>, wire: Buffer): DnsMessage {
  const message = decodeMessage(wire);
  const { id, opcode, question } = attempt;
  if (!message.isResponse || message.id !== id || message.opcode !== opcode) throw new DnsFormatError('it answers something else');
  const [asked, ...more] = message.questions;
  // A server that understood nothing may leave the question out (RFC 2136 §3.8 lets an UPDATE's answer do so too).
  if (asked === undefined) return message;
  const same = asked.name === question.name && asked.type === question.type && asked.class === question.class;
  if (!same || more.length > 0) throw new DnsFormatError('it answers another question');
  return message;
}

interface Wait<T> {
  readonly promise: Promise<T>;
  readonly ms: number;
  readonly late: () => DnsFailure;
  readonly signal: AbortSignal | undefined;
  readonly close: () => void;
}

async function within<T>({ promise, ms, late, signal, close }: Wait<T>): Promise<T> {
  const over = Promise.withResolvers<never>();
  const timer = setTimeout(() => over.reject(late()), ms);
  try {
    return await untilAborted(Promise.race([promise, over.promise]), signal);
  } finally {
    clearTimeout(timer);
    close();
  }
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function silent(server: string, timeoutMs: number, nonsense: DnsFormatError | undefined): DnsFailure {
  return nonsense === undefined
    ? new DnsFailure('silent', `${server} did not answer within ${timeoutMs / SECOND} s`)
    : malformed(server, nonsense);
}

function malformed(server: string, error: DnsFormatError): DnsFailure {
  return new DnsFailure('malformed', `${server} sent no DNS answer: ${error.message}`, error);
}

function unreachable(server: string, error: Error): DnsFailure {
  const code = systemCode(error);
  const why = code === 'ECONNREFUSED' ? 'nobody listens there' : (code ?? messageOf(error));
  return new DnsFailure('unreachable', `${server} cannot be reached: ${why}`, error);
}
