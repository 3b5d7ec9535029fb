import type { KeyObject } from 'node:crypto';

import { SECOND } from '../platform/clock.ts';
import { CHAIN_TYPE, checked, JSON_TYPE, polled } from './answers.ts';
import type { AcmeClient, AcmeClientOptions, NewAccount } from './client.ts';
import { withDeadline } from './deadline.ts';
import { fetchDirectory, keptDirectory, LONGEST_JSON } from './directory.ts';
import { failed, type Answer, type Exchange } from './exchange.ts';
import { isHttps } from './fields.ts';
import { externalAccountBinding, signedJws, signerOf, type Signer } from './jws.ts';
import { createNonces, nonceOf } from './nonces.ts';
import { askNonce, post, type Message, type Tries } from './post.ts';
import { readAccount, readAuthorization, readChallenge, readDownload, readOrder, readRenewalInfo } from './readers.ts';
import { REVOCATION_REASONS, type Signatory } from './resources.ts';
import { openTransport } from './transport.ts';

const TIMEOUT = 30 * SECOND;
const LONGEST_CHAIN = 1024 * 1024;
/** RFC 8555 §6.3 */
const POST_AS_GET = '';
/** What is sent where a JSON object is wanted and nothing is to be said. */
const NOTHING = '{}';

/** An ACME client (RFC 8555) for one server; nothing is asked before it is needed. */
export function openAcmeClient(options: AcmeClientOptions): AcmeClient {
  const timeoutMs = options.timeoutMs ?? TIMEOUT;
  const transport = openTransport({ ca: options.ca, userAgent: options.userAgent });
  const nonces = createNonces(() => performance.now());
  const directoryUrl = URL.parse(options.directory)?.href ?? options.directory;
  const signers = new WeakMap<KeyObject, Signer>();

  const signerFor = (key: KeyObject): Signer => {
    const known = signers.get(key) ?? signerOf(key);
    signers.set(key, known);
    return known;
  };

  const timed = <T>(
    exchange: Pick<Exchange, 'method' | 'url'>,
    signal: AbortSignal,
    work: (inner: AbortSignal) => Promise<T>,
    tries?: Tries,
  ): Promise<T> =>
    withDeadline(
      signal,
      timeoutMs,
      () => {
        const late = `no whole answer within ${timeoutMs / SECOND} s`;
        const refused = tries?.refused ?? 0;
        return refused === 0 ? failed(exchange, 'timeout', late) : failed(exchange, 'nonce', `${late}, after ${refused} refused nonces`);
      },
      work,
    );

  const send = async (exchange: Exchange, signal: AbortSignal): Promise<Answer> => {
    const answer = await transport.send(exchange, signal);
    nonces.keep(nonceOf(answer.headers));
    return answer;
  };

  const directory = keptDirectory(
    async (signal) => {
      const asked = { method: 'GET', url: directoryUrl } as const;
      const found = await timed(asked, signal, (inner) => fetchDirectory(directoryUrl, (exchange) => send(exchange, inner)));
      options.onDirectory?.(found);
      return found;
    },
    () => performance.now(),
    options.known,
  );

  const posting = {
    transport,
    nonces,
    newNonce: async (signal: AbortSignal) => {
      const { newNonce } = await directory(signal);
      // The directory may have come with one.
      return nonces.take() ?? (await askNonce(newNonce, transport, signal));
    },
    signerOf: signerFor,
  };

  const posted = (message: Message, signal: AbortSignal): Promise<Answer> => {
    const tries: Tries = { refused: 0 };
    return timed({ method: 'POST', url: message.url }, signal, (inner) => post(message, posting, tries, inner), tries);
  };

  const ask = (by: Signatory, url: string, signal: AbortSignal): Promise<Answer> =>
    posted({ by, url, payload: POST_AS_GET, accept: JSON_TYPE, limit: LONGEST_JSON, repeatable: true }, signal);

  const tell = (by: Signatory | KeyObject, url: string, payload: string, signal: AbortSignal, repeatable = false): Promise<Answer> =>
    posted({ by, url, payload, accept: JSON_TYPE, limit: LONGEST_JSON, repeatable }, signal);

  return {
    directory,
    async newAccount(key, request, signal) {
      const { newAccount } = await directory(signal);
      // Done twice it finds what it made the first time (RFC 8555 §7.3.1).
      const answer = await tell(key, newAccount, accountPayload(request, newAccount, signerFor(key)), signal, true);
      return readAccount(answer, locationOf(answer, 'account'));
    },
    async account(by, signal) {
      return readAccount(await ask(by, by.url, signal), by.url);
    },
    async updateContact(by, contact, signal) {
      return readAccount(await tell(by, by.url, JSON.stringify({ contact }), signal, true), by.url);
    },
    async changeKey(by, newKey, signal) {
      const { keyChange } = await directory(signal);
      const change = `{"account":${JSON.stringify(by.url)},"oldKey":${signerFor(by.key).jwk}}`;
      await tell(by, keyChange, await signedJws(signerFor(newKey), 'jwk', keyChange, undefined, change), signal);
    },
    async deactivateAccount(by, signal) {
      return readAccount(await tell(by, by.url, JSON.stringify({ status: 'deactivated' }), signal), by.url);
    },
    async newOrder(by, { identifiers, profile, replaces }, signal) {
      const { newOrder } = await directory(signal);
      const answer = await tell(by, newOrder, JSON.stringify({ identifiers, profile, replaces }), signal);
      return polled(answer, readOrder(answer, locationOf(answer, 'order')));
    },
    async order(by, url, signal) {
      const answer = await ask(by, url, signal);
      return polled(answer, readOrder(answer, url));
    },
    async authorization(by, url, signal) {
      const answer = await ask(by, url, signal);
      return polled(answer, readAuthorization(answer, url));
    },
    async deactivateAuthorization(by, url, signal) {
      return readAuthorization(await tell(by, url, JSON.stringify({ status: 'deactivated' }), signal), url);
    },
    async answerChallenge(by, url, signal) {
      const answer = await tell(by, url, NOTHING, signal);
      return polled(answer, readChallenge(answer));
    },
    async finalize(by, order, csr, signal) {
      const answer = await tell(by, order.finalize, JSON.stringify({ csr: base64url(csr) }), signal);
      return polled(answer, readOrder(answer, order.url));
    },
    async download(by, url, signal) {
      const message = { by, url, payload: POST_AS_GET, accept: CHAIN_TYPE, limit: LONGEST_CHAIN, repeatable: true };
      return readDownload(await posted(message, signal));
    },
    async revoke(by, certificate, reason, signal) {
      const { revokeCert } = await directory(signal);
      // RFC 5280 §5.3.1: a reason that says nothing is left out.
      const code = reason === 'unspecified' ? undefined : REVOCATION_REASONS[reason];
      await tell(by, revokeCert, JSON.stringify({ certificate: base64url(certificate), reason: code }), signal);
    },
    async renewalInfo(id, signal) {
      const { renewalInfo } = await directory(signal);
      if (renewalInfo === undefined) {
        throw failed({ method: 'GET', url: directoryUrl }, 'malformed', 'the directory has no renewalInfo (RFC 9773)');
      }
      const exchange: Exchange = { method: 'GET', url: `${renewalInfo.replace(/\/$/, '')}/${id}`, accept: JSON_TYPE, limit: LONGEST_JSON };
      const answer = checked(await timed(exchange, signal, (inner) => send(exchange, inner)));
      return polled(answer, readRenewalInfo(answer));
    },
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  };
}

function accountPayload(request: NewAccount, url: string, signer: Signer): string {
  const { contact, termsOfServiceAgreed, onlyReturnExisting, externalAccount } = request;
  const fields = JSON.stringify({ contact: contact.length === 0 ? undefined : contact, termsOfServiceAgreed, onlyReturnExisting });
  if (externalAccount === undefined) return fields;
  return `${fields.slice(0, -1)},"externalAccountBinding":${externalAccountBinding(externalAccount, url, signer)}}`;
}

/** The URL of what a request made (RFC 8555 §7.3, §7.4), letter for letter where it is whole: it may be a `kid`. */
function locationOf({ headers, exchange }: Answer, what: string): string {
  const location = headers.location ?? '';
  const url = isHttps(location) ? location : URL.parse(location, exchange.url)?.href;
  if (location === '' || url === undefined || !isHttps(url)) {
    throw failed(exchange, 'malformed', `the answer has no https URL of the ${what} in Location`);
  }
  return url;
}

function base64url(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('base64url');
}
