import type { KeyType } from './spec.ts';

/** How a generation came to be. */
export type Origin = 'issued' | 'adopted' | 'imported';

/** `manifest.json` of a generation (DESIGN §5). Times are ISO 8601 in UTC, digests lower-case hex. */
export interface Manifest {
  readonly version: 1;
  readonly name: string;
  readonly generation: number;
  /** Issuer name for `issued`; for the others the common name of whoever signed it. */
  readonly issuer: string;
  readonly origin: Origin;
  readonly placeholder: boolean;
  readonly keyType: KeyType | 'other';
  /** The profile that was ordered; absent where none was. */
  readonly profile?: string;
  /** Canonical identifier values, in the order of the leaf's SAN. */
  readonly identifiers: readonly string[];
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly leafSha256: string;
  readonly spkiSha256: string;
  readonly publishedAt: string;
  readonly publishedBy: Publisher;
}

export interface Publisher {
  readonly host: string;
  /** Container id or name, when there is one. */
  readonly container?: string;
  /** The command line's verb, e.g. `certificates --mode cron`. */
  readonly command: string;
  readonly version: string;
}

const DIRECTORY = /^\.\.gen-(\d{6,})$/;

/** `..gen-000042` */
export function generationDirectory(generation: number): string {
  return `..gen-${String(generation).padStart(6, '0')}`;
}

/** 42 for `..gen-000042`, undefined for any other name. */
export function generationNumber(directory: string): number | undefined {
  const digits = DIRECTORY.exec(directory)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
