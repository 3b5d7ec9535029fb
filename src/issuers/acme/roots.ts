import { readFileSync } from 'node:fs';

import { parseCertificates } from '../../certificate/bundle.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import { PodserveError, messageOf } from '../../platform/errors.ts';
import { IssueFailure } from './failure.ts';

/**
 * PEM of the roots to trust for an issuer's server; undefined: the system's.
 * @throws IssueFailure of kind configuration when they cannot be read, or there is none in the file
 */
export function readRoots({ name, caFile }: Pick<AcmeIssuerConfig, 'name' | 'caFile'>): string | undefined {
  if (caFile === undefined) return undefined;
  const correct = `correct issuers.${name}.caFile`;
  const unusable = (why: string, remedy: string, cause?: unknown): IssueFailure => {
    const what = `the roots to trust for ${name} cannot be read`;
    return new IssueFailure(what, { kind: 'configuration', scope: 'issuer', where: caFile, why, remedy, cause });
  };
  let pem: string;
  try {
    pem = readFileSync(caFile, 'utf8');
  } catch (cause) {
    throw unusable(messageOf(cause), `${correct}, or make the file readable for user ${process.geteuid?.() ?? '?'}`, cause);
  }
  const fill = `put the root of the CA into it in PEM, or ${correct}`;
  try {
    // Only what nobody could trust is refused: OpenSSL takes its own form of them too.
    if (parseCertificates(pem).length > 0 || pem.includes('-----BEGIN TRUSTED CERTIFICATE-----')) return pem;
  } catch (cause) {
    if (!(cause instanceof PodserveError)) throw cause;
    throw unusable(cause.why ?? cause.message, fill, cause);
  }
  throw unusable('there is no certificate in it', fill);
}
