import type { Identifier } from '../certificate/identifier.ts';
import type { Endpoint } from '../delivery/endpoint.ts';

/**
 * What a service that serves TLS brings to the shared consumer (consumer.ts): which certificates it wants,
 * how its daemons are brought to serve them, and where that can be seen. Everything else is shared:
 * noticing, checking, copying, judging, going back, reporting.
 *
 * `apply` gets the whole wished state instead of the difference, because every daemon we know re-reads everything
 * at a reload: a service that is asked to apply the same state again after a failure needs no memory of its own.
 */
export interface TlsService {
  /** As in `podserve <name>`. */
  readonly name: string;
  /**
   * Whether its daemons are others' to start and to stop. They come and go without a word: they are looked at
   * regularly, and told again when they serve something else. The first copy stays even when it is not served, since
   * they may need it to start.
   */
  readonly foreign?: boolean;
  /** The certificates it wants now; a new configuration may change them. */
  wanted(): readonly WantedCertificate[];
  /**
   * Asks the daemons' own check about `held`, before they are told of it.
   * @throws PodserveError when they would refuse it; the caller then puts the former copies back and applies nothing
   */
  check?(held: HeldCertificates): Promise<void>;
  /**
   * Brings the daemons to serve exactly `held`: renders what embeds or names it, starts or reloads gracefully,
   * and returns when the new state can be looked at. Never called twice at a time. May be called with nothing held.
   * Every file in `held` exists and was checked.
   * @throws PodserveError when a daemon refuses or ends; the caller then applies the former state again
   */
  apply(held: HeldCertificates): Promise<void>;
  /** Where each held certificate must be seen after `apply`; nowhere while it waits for another. */
  servedAt(held: HeldCertificates): readonly ServedAt[];
  /** The daemons as they are now. */
  daemons(): readonly DaemonReport[];
}

/** A certificate that a service serves, and what it has to speak for there. */
export interface WantedCertificate {
  readonly name: string;
  /** Its directory in the publication; `.` where that is the directory of this certificate alone. Default: its name. */
  readonly at?: string;
  readonly identifiers: readonly Identifier[];
}

/** A checked copy in the service's runtime directory, which daemons may read at any moment. */
export interface HeldCertificate {
  readonly name: string;
  /** Number of the generation that it was copied from. */
  readonly generation: number;
  /** Absolute path of key, leaf and chain in one PEM file, mode 0600. */
  readonly file: string;
  readonly leafSha256: string;
  /** ms since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** By certificate name. */
export type HeldCertificates = ReadonlyMap<string, HeldCertificate>;

/** One handshake that proves that a certificate is served. */
export interface ServedAt {
  readonly endpoint: Endpoint;
  /** A name, wildcard or address, as `verifyServed` takes it; undefined for a handshake without SNI. */
  readonly servername: string | undefined;
  /** Name of the certificate that must be answered. */
  readonly certificate: string;
}

/** One daemon, for /status. Times are ms since the epoch. */
export interface DaemonReport {
  readonly name: string;
  readonly state: 'stopped' | 'starting' | 'running' | 'waiting';
  readonly pid: number | undefined;
  readonly since: number;
  /** How often it was started again after it had ended by itself. */
  readonly restarts: number;
  /** Why it ended last, with its last words; undefined while it never did. */
  readonly lastEnd: string | undefined;
}
