import { readFileSync } from 'node:fs';

import type { AcmeClient, AcmeClientOptions } from '../../acme/client.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import { messageOf } from '../../platform/errors.ts';
import { version } from '../../platform/version.ts';
import { IssueFailure } from './failure.ts';

/** The client for an issuer's server. @throws IssueFailure of kind configuration when its roots cannot be read */
export async function openClient(
  config: AcmeIssuerConfig,
  remembered: Pick<AcmeClientOptions, 'known' | 'onDirectory'> = {},
): Promise<AcmeClient> {
  const { openAcmeClient } = await import('../../acme/open.ts');
  const { directory, caFile } = config;
  const ca = caFile === undefined ? {} : { ca: readRoots(config.name, caFile) };
  return openAcmeClient({ directory, userAgent: `podserve/${version()}`, ...ca, ...remembered });
}

function readRoots(issuer: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new IssueFailure(`the roots to trust for ${issuer} cannot be read`, {
      kind: 'configuration',
      scope: 'issuer',
      where: file,
      why: messageOf(cause),
      remedy: `correct issuers.${issuer}.caFile, or make the file readable for user ${process.geteuid?.() ?? '?'}`,
      cause,
    });
  }
}
