import type { Manifest } from '../../certificate/generation.ts';
import type { Current, Decision } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';

type Outcome = 'kept' | 'published' | 'adopted' | 'restored' | 'waiting' | 'failed' | 'planned';

/** What became of one certificate in one pass. */
export interface Result {
  readonly spec: CertificateSpec;
  readonly outcome: Outcome;
  readonly decision: Decision;
  /** What is published now, and where `..data` leads. */
  readonly current: Current;
  readonly link: string | undefined;
  /** Of what is published, where it is whole. */
  readonly manifest: Manifest | undefined;
  readonly warnings: readonly string[];
  /** With `failed`: the error. */
  readonly error: unknown;
}
