import type { AcmeClient, AcmeClientOptions } from '../../acme/client.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import { version } from '../../platform/version.ts';
import { readRoots } from './roots.ts';

/** The client for an issuer's server. @throws IssueFailure of kind configuration when its roots cannot be read, or are none */
export async function openClient(
  config: AcmeIssuerConfig,
  remembered: Pick<AcmeClientOptions, 'known' | 'onDirectory'> = {},
): Promise<AcmeClient> {
  const { openAcmeClient } = await import('../../acme/open.ts');
  const ca = readRoots(config);
  const options = { directory: config.directory, userAgent: `podserve/${version()}`, ...remembered };
  return openAcmeClient(ca === undefined ? options : { ...options, ca });
}
