import { createPublicKey, type KeyObject } from 'node:crypto';

import type { Identifier } from '../certificate/identifier.ts';
import { bitString, constructed, objectIdentifier, sequence, setOfOne, unsignedInteger } from './der.ts';
import { subjectAlternativeName } from './extensions.ts';
import { signerFor } from './key.ts';
import { distinguishedName } from './name.ts';

const VERSION_1 = unsignedInteger(Uint8Array.of(0));
const NO_NAME = distinguishedName({});
/** RFC 2985 §5.4.2 */
const EXTENSION_REQUEST = objectIdentifier('1.2.840.113549.1.9.14');

/**
 * The DER of a PKCS #10 request (RFC 2986 §4) with the names in its SAN and an empty subject. Rejected: a common name
 * for the first DNS name. CAs whose profile has one take it from the SAN, the others ignore or refuse it, and an
 * address or a name over 64 characters cannot stand there at all.
 * @param key private, of one of KEY_TYPES
 */
export function certificateRequest(identifiers: readonly Identifier[], key: KeyObject): Buffer {
  const signer = signerFor(key);
  const publicKeyInfo = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const extensions = sequence(subjectAlternativeName(identifiers, false));
  const attributes = constructed(0, sequence(EXTENSION_REQUEST, setOfOne(extensions)));
  const information = sequence(VERSION_1, NO_NAME, publicKeyInfo, attributes);
  return sequence(information, signer.algorithm, bitString(signer.sign(information)));
}
