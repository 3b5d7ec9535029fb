import { elements, inside, type Element } from './der-reader.ts';
import { AUTHORITY_KEY_IDENTIFIER, SUBJECT_KEY_IDENTIFIER } from './extensions.ts';

const EXPLICIT_VERSION = 0xa0;
const EXTENSIONS = 0xa3;
/** `[0] IMPLICIT` KeyIdentifier within AuthorityKeyIdentifier. */
const KEY_IDENTIFIER = 0x80;

/** DER of the subject's Name. @throws RangeError when the certificate is not DER */
export function subjectName(certificate: Uint8Array): Uint8Array | undefined {
  const fields = fieldsOf(certificate).filter(({ tag }) => tag !== EXPLICIT_VERSION);
  return fields[4]?.encoding;
}

/** RFC 5280 §4.2.1.2. @throws RangeError when the certificate is not DER */
export function subjectKeyIdentifierOf(certificate: Uint8Array): Uint8Array | undefined {
  const value = extensionValue(certificate, SUBJECT_KEY_IDENTIFIER);
  return value === undefined ? undefined : elements(value)[0]?.contents;
}

/** The keyIdentifier of RFC 5280 §4.2.1.1. @throws RangeError when the certificate is not DER */
export function authorityKeyIdentifierOf(certificate: Uint8Array): Uint8Array | undefined {
  const value = extensionValue(certificate, AUTHORITY_KEY_IDENTIFIER);
  return value === undefined ? undefined : inside(value).find(({ tag }) => tag === KEY_IDENTIFIER)?.contents;
}

/** The contents octets of the serial number's INTEGER (RFC 5280 §4.1.2.2). @throws RangeError when the certificate is not DER */
export function serialNumberOf(certificate: Uint8Array): Uint8Array | undefined {
  return fieldsOf(certificate).find(({ tag }) => tag !== EXPLICIT_VERSION)?.contents;
}

/**
 * The value of an extension of a certificate (the contents of its OCTET STRING), or undefined.
 * @param identifier the DER of its OBJECT IDENTIFIER
 * @throws RangeError when the certificate is not DER
 */
export function extensionValue(certificate: Uint8Array, identifier: Uint8Array): Uint8Array | undefined {
  const wrapper = fieldsOf(certificate).find(({ tag }) => tag === EXTENSIONS);
  if (wrapper === undefined) return undefined;
  for (const { contents } of inside(wrapper.contents)) {
    const [name, ...rest] = elements(contents);
    if (name !== undefined && Buffer.compare(name.encoding, identifier) === 0) return rest.at(-1)?.contents;
  }
  return undefined;
}

function fieldsOf(certificate: Uint8Array): Element[] {
  const [toBeSigned] = inside(certificate);
  return toBeSigned === undefined ? [] : elements(toBeSigned.contents);
}
