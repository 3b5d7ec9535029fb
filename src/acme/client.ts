import type { KeyObject } from 'node:crypto';

import type {
  Account,
  AcmeIdentifier,
  Authorization,
  Challenge,
  Directory,
  Download,
  Order,
  Polled,
  RenewalInfo,
  RevocationReason,
  Signatory,
} from './resources.ts';

export interface AcmeClientOptions {
  readonly directory: string;
  /** PEM of roots to trust instead of the system's. */
  readonly ca?: string;
  readonly userAgent: string;
  /** For one request with its answer's body, ms; default 30 s. Nonce retries share it. */
  readonly timeoutMs?: number;
  /** What the server offered lately: it is not asked for then. */
  readonly known?: Directory | undefined;
  /** Called with what the server offers when it was asked for. */
  readonly onDirectory?: (directory: Directory) => void;
}

/**
 * RFC 8555, 8738, 9773 and the profiles extension, without policy and without disk: no call waits for a resource to
 * change, none is repeated but for `badNonce`. Every call throws AcmeProblem or AcmeTransportError, and the signal's
 * reason when that aborts. One client is for one server and may be used for many accounts at once; it keeps nonces,
 * connections and the directory. Disposing of it closes its connections.
 */
export interface AcmeClient extends AsyncDisposable {
  /** RFC 8555 §7.1.1; asked once and kept. */
  directory(signal: AbortSignal): Promise<Directory>;
  /** RFC 8555 §7.3: makes the account of `key`, or finds it. */
  newAccount(key: KeyObject, request: NewAccount, signal: AbortSignal): Promise<Account>;
  /** RFC 8555 §6.3: the account as the server has it. An empty update asks the same, but Pebble refuses that with -strict. */
  account(by: Signatory, signal: AbortSignal): Promise<Account>;
  /** RFC 8555 §7.3.2 */
  updateContact(by: Signatory, contact: readonly string[], signal: AbortSignal): Promise<Account>;
  /** RFC 8555 §7.3.5 */
  changeKey(by: Signatory, newKey: KeyObject, signal: AbortSignal): Promise<void>;
  /** RFC 8555 §7.3.6 */
  deactivateAccount(by: Signatory, signal: AbortSignal): Promise<Account>;
  /** RFC 8555 §7.4 */
  newOrder(by: Signatory, request: NewOrder, signal: AbortSignal): Promise<Polled<Order>>;
  order(by: Signatory, url: string, signal: AbortSignal): Promise<Polled<Order>>;
  /** RFC 8555 §7.5 */
  authorization(by: Signatory, url: string, signal: AbortSignal): Promise<Polled<Authorization>>;
  /** RFC 8555 §7.5.2 */
  deactivateAuthorization(by: Signatory, url: string, signal: AbortSignal): Promise<Authorization>;
  /** RFC 8555 §7.5.1: tells the server that it may look. */
  answerChallenge(by: Signatory, url: string, signal: AbortSignal): Promise<Polled<Challenge>>;
  /** RFC 8555 §7.4. `csr` is DER. The answer has the order's own URL in it. */
  finalize(by: Signatory, order: Order, csr: Uint8Array, signal: AbortSignal): Promise<Polled<Order>>;
  /** RFC 8555 §7.4.2 */
  download(by: Signatory, url: string, signal: AbortSignal): Promise<Download>;
  /** RFC 8555 §7.6; `by` the account, or the certificate's own key. */
  revoke(by: Signatory | KeyObject, certificate: Uint8Array, reason: RevocationReason, signal: AbortSignal): Promise<void>;
  /** RFC 9773 §4.1. @param id as `ariCertificateId` makes it */
  renewalInfo(id: string, signal: AbortSignal): Promise<Polled<RenewalInfo>>;
}

export interface NewAccount {
  /** `mailto:` URLs */
  readonly contact: readonly string[];
  readonly termsOfServiceAgreed: boolean;
  /** RFC 8555 §7.3.1: fails with `accountDoesNotExist` instead of making one. */
  readonly onlyReturnExisting?: boolean;
  /** RFC 8555 §7.3.4; the key as the CA gave it, base64url decoded. */
  readonly externalAccount?: { readonly kid: string; readonly hmacKey: Uint8Array };
}

export interface NewOrder {
  readonly identifiers: readonly AcmeIdentifier[];
  readonly profile?: string;
  /** RFC 9773 §5: the certificate that the order replaces. */
  readonly replaces?: string;
}
