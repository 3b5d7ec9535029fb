import type { KeyObject } from 'node:crypto';

import { checked, problemWith } from './answers.ts';
import { failed, type Answer, type Exchange } from './exchange.ts';
import { signedJws, type Signer } from './jws.ts';
import { nonceOf, type Nonces } from './nonces.ts';
import type { AcmeProblem, AcmeTransportError } from './problem.ts';
import type { Signatory } from './resources.ts';
import type { Transport } from './transport.ts';

/** One signed request (RFC 8555 §6.2). */
export interface Message {
  /** The account, or a key that has none. */
  readonly by: Signatory | KeyObject;
  readonly url: string;
  /** JSON, or `''` for a POST-as-GET (RFC 8555 §6.3). */
  readonly payload: string;
  readonly accept: string;
  readonly limit: number;
  /** Whether having it done twice is the same as once. */
  readonly repeatable: boolean;
}

export interface PostOptions {
  readonly transport: Transport;
  readonly nonces: Nonces;
  /** Where nonces are had from (RFC 8555 §7.2). */
  readonly newNonce: (signal: AbortSignal) => Promise<string>;
  readonly signerOf: (key: KeyObject) => Signer;
}

/** RFC 8555 §6.5: a request refused for its nonce is tried again; so often. */
const MOST_REFUSALS = 30;

/** How a signed request goes, for the error of its time-out. */
export interface Tries {
  refused: number;
}

/**
 * Signs and sends; a refused nonce is replaced by the one that came with the refusal, and the request signed anew.
 *
 * When a kept connection ends before any byte of an answer, the request may or may not have been done. The transport
 * then sends the same bytes again: a server that took the first one refuses its nonce the second time (RFC 8555 §6.5),
 * so nothing is ever done twice by that. If the nonce is refused then, it is not known whether the first one was done:
 * what may be repeated is signed anew, the rest fails with `connect` and the caller looks at what has become of it.
 * The alternative, to fail every POST at once, would make a failed order of each restart of a server.
 * @throws AcmeProblem, AcmeTransportError; the signal's reason
 */
export async function post(
  message: Message,
  { transport, nonces, newNonce, signerOf }: PostOptions,
  tries: Tries,
  signal: AbortSignal,
): Promise<Answer> {
  const { by, url, payload, accept, limit } = message;
  const account = 'url' in by;
  const signer = signerOf(account ? by.key : by);
  const named = account ? ({ kid: by.url } as const) : 'jwk';
  let nonce = nonces.take() ?? (await newNonce(signal));
  for (;;) {
    const body = await signedJws(signer, named, url, nonce, payload);
    const answer = await transport.send({ method: 'POST', url, accept, body, limit }, signal);
    const next = nonceOf(answer.headers);
    const problem = problemWith(answer);
    if (problem?.type !== 'badNonce') {
      nonces.keep(next);
      if (problem !== undefined) throw problem;
      return checked(answer);
    }
    if (answer.resent && !message.repeatable) throw unknownOutcome(answer.exchange, problem);
    tries.refused += 1;
    if (tries.refused > MOST_REFUSALS) throw failed(answer.exchange, 'nonce', `${tries.refused} nonces were refused in a row`, problem);
    nonce = next ?? (await newNonce(signal));
  }
}

function unknownOutcome(exchange: Exchange, problem: AcmeProblem): AcmeTransportError {
  return failed(
    exchange,
    'connect',
    'the connection ended before the answer, and whether the server did what was asked is not known',
    problem,
  );
}

/** RFC 8555 §7.2. */
export async function askNonce(url: string, transport: Transport, signal: AbortSignal): Promise<string> {
  const answer = checked(await transport.send({ method: 'HEAD', url, accept: '*/*', limit: 0 }, signal));
  const nonce = nonceOf(answer.headers);
  if (nonce === undefined) throw failed(answer.exchange, 'nonce', 'the answer has no Replay-Nonce');
  return nonce;
}
