import { newKeyPair } from '../x509/key.ts';
import type { Issuer } from './issuer.ts';
import { leafValidity, selfSignLeaf } from './leaf.ts';

/** Leaves that sign themselves: for tests, and for setups where the client pins the certificate. */
export function selfSigned(): Issuer {
  return {
    name: 'self-signed',
    async issue(spec, { now, lifetime = spec.lifetime, signal }) {
      signal?.throwIfAborted();
      return selfSignLeaf(spec.identifiers, await newKeyPair(spec.keyType), leafValidity(now, lifetime));
    },
  };
}
