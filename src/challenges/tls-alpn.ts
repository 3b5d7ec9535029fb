import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { TLSSocket, createSecureContext, type SecureContext } from 'node:tls';

import { addressOctets, type Identifier } from '../certificate/identifier.ts';
import type { ChallengeConfig } from '../config/config.ts';
import { DAY, MINUTE, SECOND, type Clock } from '../platform/clock.ts';
import { PodserveError, messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { certificatePem, signCertificate } from '../x509/certificate.ts';
import { acmeIdentifier, subjectAlternativeName } from '../x509/extensions.ts';
import { newKeyPair, signerFor } from '../x509/key.ts';
import { distinguishedName } from '../x509/name.ts';
import { readClientHello, type ClientHello } from './client-hello.ts';
import { openWhileUsed } from './open-while-used.ts';
import { listenForChallenges, type PortPurpose } from './port.ts';
import type { ChallengeSolver, ChallengeTask, SolverSurroundings } from './solver.ts';

type TlsAlpnConfig = Extract<ChallengeConfig, { type: 'tls-alpn-01' }>;
type Surroundings = Pick<SolverSurroundings, 'clock' | 'log'>;

/** RFC 8737 §6.2 */
const PROTOCOL = 'acme-tls/1';

const PURPOSE: PortPurpose = {
  type: 'tls-alpn-01',
  setting: 'tlsAlpn01.listen',
  instead: 'use challenge: http-01, which podserve apache answers on port 80',
};

const LONGEST_HANDSHAKE = 5 * SECOND;
const MOST_CONNECTIONS = 1024;
/** How long another order may keep a name: one certificate answers for it, so two orders take turns. */
const LONGEST_TURN = 2 * MINUTE;

interface Answer {
  readonly keyAuthorization: string;
  readonly context: SecureContext;
  readonly ended: AbortController;
  uses: number;
}

/**
 * tls-alpn-01 (RFC 8737, RFC 8738 §6) by a listener of its own, which is open only while there is something to answer.
 * The ClientHello is read before OpenSSL sees it: Node has no way to refuse a client that speaks of no protocol.
 */
export function tlsAlpnSolver({ listen }: TlsAlpnConfig, { clock, log }: Surroundings): ChallengeSolver {
  const answers = new Map<string, Answer>();
  const listener = openWhileUsed(() => openListener(listen, (name) => answers.get(name)?.context, log));

  function letGo(name: string, answer: Answer): void {
    answer.uses -= 1;
    if (answer.uses > 0) return;
    answers.delete(name);
    answer.ended.abort();
  }

  async function cleanup({ identifier, keyAuthorization }: ChallengeTask): Promise<void> {
    const name = serverNameOf(identifier);
    const answer = answers.get(name);
    if (answer?.keyAuthorization !== keyAuthorization) return;
    letGo(name, answer);
    await listener.leave();
  }

  /** Takes the name when nobody else answers for it: with no pause in between, or two that waited would both have it. */
  async function take({ identifier, keyAuthorization }: ChallengeTask, context: SecureContext, signal: AbortSignal): Promise<Answer> {
    const deadline = clock.now() + LONGEST_TURN;
    const name = serverNameOf(identifier);
    for (;;) {
      const other = answers.get(name);
      if (other === undefined || other.keyAuthorization === keyAuthorization) {
        const answer = other ?? { keyAuthorization, context, ended: new AbortController(), uses: 0 };
        answer.uses += 1;
        answers.set(name, answer);
        return answer;
      }
      if (clock.now() >= deadline) throw busy(identifier);
      await clock.sleep(deadline - clock.now(), AbortSignal.any([signal, other.ended.signal]));
      signal.throwIfAborted();
    }
  }

  return {
    type: 'tls-alpn-01',
    async present(task, signal) {
      signal.throwIfAborted();
      const context = await challengeContext(task, clock);
      const answer = await take(task, context, signal);
      try {
        await listener.use();
      } catch (error) {
        letGo(serverNameOf(task.identifier), answer);
        throw error;
      }
      if (!signal.aborted) return;
      await cleanup(task);
      signal.throwIfAborted();
    },
    cleanup,
    async [Symbol.asyncDispose]() {
      answers.clear();
      await listener[Symbol.asyncDispose]();
    },
  };
}

/** The name that the CA sends as SNI: for an address its reverse mapping (RFC 8738 §6), without the last dot. */
export function serverNameOf({ type, value }: Identifier): string {
  if (type === 'dns') return value;
  const octets = [...addressOctets(value)];
  if (octets.length === 4) return `${octets.toReversed().join('.')}.in-addr.arpa`;
  const nibbles = octets.flatMap((octet) => [octet >> 4, octet & 15]).map((nibble) => nibble.toString(16));
  return `${nibbles.toReversed().join('.')}.ip6.arpa`;
}

/** RFC 8737 §3: signed by itself, the identifier its only name, the digest of the key authorization in it. */
async function challengeContext({ identifier, keyAuthorization }: ChallengeTask, clock: Clock): Promise<SecureContext> {
  const { privateKey, publicKeyInfo } = await newKeyPair('ecdsa-p256');
  const now = Math.floor(clock.now() / SECOND) * SECOND;
  const name = distinguishedName({ organizationName: 'PodServe tls-alpn-01' });
  const digest = createHash('sha256').update(keyAuthorization).digest();
  const der = signCertificate(
    {
      issuer: name,
      subject: name,
      notBefore: now - DAY,
      notAfter: now + DAY,
      publicKeyInfo,
      extensions: [subjectAlternativeName([identifier], false), acmeIdentifier(digest)],
    },
    signerFor(privateKey),
  );
  // The empty list keeps Node from parsing its own roots: no client shows a certificate here.
  return createSecureContext({
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: certificatePem(der),
    ca: [],
    minVersion: 'TLSv1.2',
  });
}

type ContextFor = (serverName: string) => SecureContext | undefined;

async function openListener(listen: string, contextFor: ContextFor, log: Log): Promise<AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: false }, (socket) => {
    sockets.add(socket);
    const timer = setTimeout(() => socket.destroy(), LONGEST_HANDSHAKE);
    // Who breaks off is none of our trouble.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      clearTimeout(timer);
      sockets.delete(socket);
    });
    receiveHello(socket, contextFor);
  });
  server.maxConnections = MOST_CONNECTIONS;
  await listenForChallenges(server, listen, PURPOSE);
  server.on('error', (error) => log.warn({ listen, error: messageOf(error) }, 'the listener for tls-alpn-01 has trouble'));
  log.debug({ listen }, 'listening for tls-alpn-01');
  return {
    async [Symbol.asyncDispose]() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
      await promise;
    },
  };
}

/** Alerts of TLS (RFC 8446 §6.2). */
const ALERT = { decodeError: 50, unrecognizedName: 112, noApplicationProtocol: 120 } as const;

function receiveHello(socket: Socket, contextFor: ContextFor): void {
  let received = Buffer.alloc(0);
  const take = (data: Buffer): void => {
    received = Buffer.concat([received, data]);
    const hello = readClientHello(received);
    if (hello === 'more') return;
    socket.off('data', take);
    socket.pause();
    const context = hello === 'other' ? undefined : contextOf(hello, contextFor);
    if (context === undefined) return refuse(socket, ALERT.decodeError);
    if (typeof context === 'number') return refuse(socket, context);
    socket.unshift(received);
    handshake(socket, context);
  };
  socket.on('data', take);
}

/** RFC 8737 §3: the CA offers this protocol alone, and always says whom it wants. */
function contextOf({ serverName, protocols }: ClientHello, contextFor: ContextFor): SecureContext | number {
  if (protocols.length !== 1 || protocols[0] !== PROTOCOL) return ALERT.noApplicationProtocol;
  return (serverName === undefined ? undefined : contextFor(serverName)) ?? ALERT.unrecognizedName;
}

function refuse(socket: Socket, alert: number): void {
  socket.end(Uint8Array.of(21, 3, 3, 0, 2, 2, alert));
  socket.resume();
}

function handshake(socket: Socket, secureContext: SecureContext): void {
  const secure = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: [PROTOCOL] });
  secure.on('error', () => socket.destroy());
  // RFC 8737 §4: nothing is ever said over such a connection.
  secure.once('secure', () => secure.end());
  secure.resume();
}

function busy(identifier: Identifier): PodserveError {
  return new PodserveError('CHALLENGE_FAILED', 'the answer to a challenge cannot be put in place', {
    where: identifier.value,
    why: `another order has been proving the same name for ${LONGEST_TURN / MINUTE} minutes`,
    remedy: 'it is tried again later; nothing is to be done unless that repeats',
  });
}
