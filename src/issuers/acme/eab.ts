import { realpathSync } from 'node:fs';

import type { NewAccount } from '../../acme/client.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import { messageOf } from '../../platform/errors.ts';
import { readBounded } from '../../platform/files.ts';
import { IssueFailure } from './failure.ts';

const LARGEST_FILE = 16 * 1024;

/**
 * What binds a new account to one that the CA knows otherwise (RFC 8555 §7.3.4). The key is base64url, as the RFC has
 * it; what CAs' pages and people's editors make of that (the ordinary alphabet, padding, white space) is read too.
 * @throws IssueFailure of kind configuration, without anything of the file in it
 */
export function externalAccount({ name, eab }: AcmeIssuerConfig): NewAccount['externalAccount'] {
  if (eab === undefined) return undefined;
  const text = readKeyFile(name, eab.hmacFile).replaceAll(/\s+/g, '').replace(/=+$/, '');
  if (text === '') throw unusable(name, eab.hmacFile, 'it is empty');
  if (!/^[A-Za-z0-9_+/-]+$/.test(text) || text.length % 4 === 1) throw unusable(name, eab.hmacFile, 'it is not base64url');
  return { kid: eab.kid, hmacKey: Buffer.from(text, 'base64url') };
}

function readKeyFile(issuer: string, file: string): string {
  let read: ReturnType<typeof readBounded>;
  try {
    // Secrets that Kubernetes mounts are links.
    read = readBounded(realpathSync(file), LARGEST_FILE);
  } catch (error) {
    throw unusable(issuer, file, messageOf(error), error);
  }
  if ('refused' in read) throw unusable(issuer, file, read.refused);
  return read.text;
}

function unusable(issuer: string, file: string, why: string, cause?: unknown): IssueFailure {
  return new IssueFailure(`the external account key of ${issuer} cannot be used`, {
    kind: 'configuration',
    scope: 'issuer',
    where: file,
    why,
    remedy: `put the HMAC key there as the CA gave it, or correct issuers.${issuer}.eab.hmacFile`,
    cause,
  });
}
