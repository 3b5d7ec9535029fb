import { X509Certificate, type KeyObject } from 'node:crypto';

import { parseBundle, pemOf, type Bundle } from '../../src/certificate/bundle.ts';
import { parseIdentifiers } from '../../src/certificate/identifier.ts';
import { DAY } from '../../src/platform/clock.ts';
import { certificatePem, signCertificate } from '../../src/x509/certificate.ts';
import { CA_OF_LEAVES, END_ENTITY, keyUsage, subjectAlternativeName } from '../../src/x509/extensions.ts';
import { newKeyPair, signerFor } from '../../src/x509/key.ts';
import { distinguishedName } from '../../src/x509/name.ts';

export interface BundleWish {
  readonly names?: readonly string[];
  /** How many intermediates; with none the leaf is signed by the root itself. */
  readonly chain?: number;
  /** ms since the epoch */
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** Organization and common name of the authorities. */
  readonly authority?: string;
}

/** A bundle below a root of its own, made in a millisecond. */
export async function makeBundle(wish: BundleWish = {}): Promise<Bundle> {
  const { names = ['localhost'], chain = 0, authority = 'Test' } = wish;
  const notBefore = seconds(wish.notBefore ?? Date.now() - DAY);
  const validity = { notBefore, notAfter: seconds(wish.notAfter ?? notBefore + 90 * DAY) };
  let issuer = { name: distinguishedName({ commonName: `${authority} Root` }), key: (await newKeyPair('ecdsa-p256')).privateKey };
  const chainPems: string[] = [];
  for (let level = chain; level > 0; level -= 1) {
    const name = distinguishedName({ commonName: `${authority} CA ${level}` });
    const keys = await newKeyPair('ecdsa-p256');
    const extensions = [CA_OF_LEAVES, keyUsage('keyCertSign', 'cRLSign')];
    chainPems.unshift(sign(name, keys.publicKeyInfo, extensions, issuer, validity));
    issuer = { name, key: keys.privateKey };
  }
  const keys = await newKeyPair('ecdsa-p256');
  const extensions = [END_ENTITY, subjectAlternativeName(parseIdentifiers(names), true)];
  const leafPem = sign(distinguishedName({}), keys.publicKeyInfo, extensions, issuer, validity);
  return parseBundle(keys.privateKey.export({ type: 'pkcs8', format: 'pem' }), leafPem + chainPems.join(''));
}

function sign(
  subject: Buffer,
  publicKeyInfo: Buffer,
  extensions: readonly Buffer[],
  issuer: { name: Buffer; key: KeyObject },
  validity: { notBefore: number; notAfter: number },
): string {
  const fields = { issuer: issuer.name, subject, ...validity, publicKeyInfo, extensions };
  return pemOf(new X509Certificate(certificatePem(signCertificate(fields, signerFor(issuer.key)))));
}

function seconds(time: number): number {
  return Math.floor(time / 1000) * 1000;
}
