import { minute } from '../../platform/dates.ts';
import type { FailureKind } from '../../certificate/fallback.ts';

/** What a remedy depends on, besides the kind. */
export interface Circumstances {
  readonly issuer: string;
  readonly server: string;
  /** Problem type, or transport fault. */
  readonly type: string;
  /** Whether the directory itself was asked for. */
  readonly atDirectory: boolean;
  readonly subject?: string;
  readonly unpauseUrl: string | undefined;
  readonly retryAt: number | undefined;
  /** Where the CA says more. */
  readonly help: string | undefined;
}

/** What the operator can do about a failure. */
export function remedyFor(
  kind: FailureKind,
  { issuer, server, type, atDirectory, subject, unpauseUrl, retryAt, help }: Circumstances,
): string {
  const doctor = `podserve doctor${subject === undefined ? '' : ` ${subject}`}`;
  switch (kind) {
    case 'unreachable':
      return atDirectory && NO_DIRECTORY.includes(type) ? noServer(issuer) : forFault(type, issuer, server);
    case 'server':
      return 'nothing to do here: it is tried again by itself';
    case 'rate-limited':
      return retryAt === undefined ? 'it is tried again by itself, later' : `it is tried again by itself, not before ${minute(retryAt)}`;
    case 'paused':
      return `mend what made it fail so often (${doctor} looks), then open ${unpauseUrl ?? 'the link that the CA gave'} to end the pause`;
    case 'challenge':
      return `${doctor} looks at the way that the CA takes`;
    case 'solver':
      return `${doctor} looks at what is needed for it`;
    case 'caa':
      return `let the CAA record of the domain allow this CA; ${doctor} shows the record`;
    case 'rejected':
      return forRejected(type, issuer);
    case 'account':
      return forAccount(type, issuer, help);
    case 'configuration':
      return forConfiguration(type, issuer);
    case 'bad-certificate':
      return 'tell whoever runs the CA; what is published stays';
    default:
      return kind satisfies never;
  }
}

/** Faults of an answer that came, but not from an ACME server. */
const NO_DIRECTORY: readonly string[] = ['malformed', 'content-type', 'redirect', 'too-large'];

function noServer(issuer: string): string {
  return `correct issuers.${issuer}.directory: no ACME server answers there`;
}

function forFault(fault: string, issuer: string, server: string): string {
  const host = URL.parse(server)?.host ?? server;
  switch (fault) {
    case 'dns':
      return `see that ${host} resolves here, and that issuers.${issuer}.directory is right`;
    case 'tls':
      return `see that the clock is right; for a CA of your own set issuers.${issuer}.caFile to its root`;
    case 'connect':
    case 'timeout':
      return `see that ${host} can be reached from here; it is tried again by itself`;
    default:
      return `see that issuers.${issuer}.directory leads to an ACME server and no proxy answers for it; it is tried again by itself`;
  }
}

function forRejected(type: string, issuer: string): string {
  switch (type) {
    case 'rejectedIdentifier':
      return 'the CA does not sign for this name: take it out of the certificate, or choose another issuer';
    case 'unsupportedIdentifier':
      return `addresses and wildcards may need another issuers.${issuer}.profile or challenge, or another issuer`;
    case 'badCSR':
      return "choose another keyType: the CA refuses this certificate's key or names";
    default:
      return 'a newer podserve may know better; else tell whoever runs the CA';
  }
}

function forAccount(type: string, issuer: string, help: string | undefined): string {
  switch (type) {
    case 'userActionRequired':
      return `read what the CA wants agreed to${help === undefined ? '' : ` at ${help}`}, agree there, then run it again`;
    case 'invalidContact':
    case 'unsupportedContact':
      return `correct issuers.${issuer}.email`;
    default:
      return `podserve acme account show --issuer ${issuer} tells its state; where it is deactivated, move its account file away and a new one is made`;
  }
}

function forConfiguration(type: string, issuer: string): string {
  switch (type) {
    case 'externalAccountRequired':
      return `set issuers.${issuer}.eab.kid and issuers.${issuer}.eab.hmacFile to what the CA gave you`;
    case 'invalidProfile':
      return `choose another issuers.${issuer}.profile, or none`;
    default:
      return `correct issuers.${issuer}.directory`;
  }
}
