import { generationDirectory, type Manifest } from '../../certificate/generation.ts';
import { renewalTime, type Current, type Decision } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';

/** `placeholder`: one was published, the real one is still to come. */
type Outcome = 'kept' | 'published' | 'placeholder' | 'rehearsed' | 'adopted' | 'restored' | 'waiting' | 'failed' | 'planned';

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
  /** With `failed`: the error, and when the issuers are tried again where that is not the next look. */
  readonly error: unknown;
  readonly retryAt?: number;
  /** Which issuer refused last. */
  readonly askedLast?: string | undefined;
}

/** Told to stop before its turn came: the next start takes it up at once. What is on record of failures stays. */
export function interrupted(result: Result): Result {
  return { ...result, outcome: 'waiting', decision: { ...result.decision, action: 'wait' } };
}

/** The result after a switch to another generation. */
export function changed(
  spec: CertificateSpec,
  outcome: 'published' | 'placeholder' | 'restored',
  decision: Decision,
  manifest: Manifest,
  warnings: readonly string[],
): Result {
  const published = {
    generation: manifest.generation,
    issuer: manifest.issuer,
    origin: manifest.origin,
    placeholder: manifest.placeholder,
    keyType: manifest.keyType,
    profile: manifest.profile,
    identifiers: spec.identifiers,
    notBefore: Date.parse(manifest.notBefore),
    notAfter: Date.parse(manifest.notAfter),
    publishedAt: Date.parse(manifest.publishedAt),
  };
  const nextLook = renewalTime(spec, published);
  return {
    spec,
    outcome,
    // The need is met: the decision keeps its reason, and from here on asks for no attention.
    decision: { ...decision, nextLook, emergency: false },
    current: { state: 'published', ...published },
    link: generationDirectory(manifest.generation),
    manifest,
    warnings,
    error: undefined,
  };
}
