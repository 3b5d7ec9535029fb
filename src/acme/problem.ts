import type { ProblemDocument } from './resources.ts';

/** A request that the server refused with a problem document (RFC 8555 §6.7), or with an error status and none. */
export class AcmeProblem extends Error {
  override readonly name = 'AcmeProblem';
  /** The part after `urn:ietf:params:acme:error:`, or the whole type when it is another; `''` without a problem document. */
  readonly type: string;
  /** HTTP status. */
  readonly status: number;
  readonly document: ProblemDocument | undefined;
  /** `Retry-After`, ms from the answer on, or undefined. */
  readonly retryAfter: number | undefined;
  /** What was requested: `POST https://…`; never with a query's secrets or a body. */
  readonly request: string;
  /** URLs of the answer's `Link` headers by relation, e.g. `help`, `terms-of-service` (RFC 8555 §7.3.3). */
  readonly links: Readonly<Record<string, readonly string[]>>;

  constructor(fields: {
    type: string;
    status: number;
    document: ProblemDocument | undefined;
    retryAfter: number | undefined;
    request: string;
    links: Readonly<Record<string, readonly string[]>>;
    message: string;
  }) {
    super(fields.message);
    this.type = fields.type;
    this.status = fields.status;
    this.document = fields.document;
    this.retryAfter = fields.retryAfter;
    this.request = fields.request;
    this.links = fields.links;
  }
}

/** How an exchange failed before the server's answer could be understood. */
export type TransportFault =
  | 'dns' // the host name has no address
  | 'connect' // refused, unreachable, reset before the answer
  | 'tls' // the server's certificate is not trusted, or no handshake
  | 'timeout' // nothing, or not all of it, within the time
  | 'cut' // the connection ended within the answer
  | 'too-large'
  | 'content-type'
  | 'malformed' // not JSON, or not the JSON that the RFC describes
  | 'redirect' // too many, to another host, or to something that is not https
  | 'nonce'; // no nonce was accepted within the tries or the time

/** A request without an answer that could be used. */
export class AcmeTransportError extends Error {
  override readonly name = 'AcmeTransportError';
  readonly fault: TransportFault;
  readonly request: string;

  constructor(fault: TransportFault, request: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
    this.request = request;
  }
}
