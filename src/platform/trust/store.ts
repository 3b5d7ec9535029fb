/** A root to trust. */
export interface Anchor {
  /** What people see in the store, e.g. `PodServe local CA 1 3f2a9c01`. */
  readonly nickname: string;
  /** SHA-256 over the DER, lower-case hex. */
  readonly fingerprint: string;
  readonly pem: string;
}

/** A root of PodServe that was found in a store, whoever put it there. */
export interface Held {
  /** How the store calls it: nickname or file name. */
  readonly name: string;
  readonly pem: string;
  /** False when it is there but not trusted for servers: half installed. */
  readonly trusted: boolean;
}

export const STORE_KINDS = ['system', 'chromium', 'firefox'] as const;
export type StoreKind = (typeof STORE_KINDS)[number];

/** One place where programs look for roots. Every method throws PodserveError TRUST_STORE_FAILED. */
export interface TrustStore {
  readonly kind: StoreKind;
  /** For people, with its path: `Firefox (/home/me/.mozilla/firefox/abc.default)`. */
  readonly label: string;
  readonly path: string;
  /** The roots of PodServe in it. Never throws for want of rights to write. */
  held(): Promise<readonly Held[]>;
  add(anchors: readonly Anchor[]): Promise<void>;
  remove(held: readonly Held[]): Promise<void>;
}

/** What every nickname of ours begins with, and the common name of every root. */
export const OUR_ROOTS = 'PodServe local CA';

/** Whether two PEM blocks hold the same certificate. */
export function sameCertificate(one: string, other: string): boolean {
  return bare(one) === bare(other);
}

/** PEM text without its white space, to look one block up in many. */
export function bare(pem: string): string {
  return pem.replaceAll(/\s+/g, '');
}
