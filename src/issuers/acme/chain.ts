import type { AcmeClient } from '../../acme/client.ts';
import type { Download, Signatory } from '../../acme/resources.ts';
import { parseCertificates } from '../../certificate/bundle.ts';
import { describeError } from '../../platform/errors.ts';
import type { OrderPlace } from './place.ts';

/**
 * The chain that ends in or passes an issuer of the preferred common name: the default one where it does, else the
 * first alternate (RFC 8555 §7.4.2) that does, else the default one with a warning.
 */
export async function preferredChain(place: OrderPlace, by: Signatory, first: Download, signal: AbortSignal): Promise<string> {
  const { client, config, log } = place;
  const { preferredChain: preferred } = config;
  if (preferred === undefined || hasIssuer(first.pem, preferred)) return first.pem;
  const seen = issuersOf(first.pem);
  for (const url of first.alternates) {
    const pem = await alternate(client, by, url, signal, (why) =>
      log.warn({ issuer: config.name, url }, `an alternate chain cannot be had: ${why}`),
    );
    if (pem === undefined) continue;
    if (hasIssuer(pem, preferred)) return pem;
    seen.push(...issuersOf(pem));
  }
  log.warn(
    { issuer: config.name, preferredChain: preferred, offered: [...new Set(seen)] },
    'no chain has the preferred issuer; the default one is used',
  );
  return first.pem;
}

async function alternate(
  client: AcmeClient,
  by: Signatory,
  url: string,
  signal: AbortSignal,
  tell: (why: string) => void,
): Promise<string | undefined> {
  try {
    return (await client.download(by, url, signal)).pem;
  } catch (error) {
    signal.throwIfAborted();
    tell(describeError(error));
    return undefined;
  }
}

function hasIssuer(pem: string, commonName: string): boolean {
  return issuersOf(pem).includes(commonName);
}

/** Common names of those who signed the certificates of a chain, the leaf's issuer first. */
function issuersOf(pem: string): string[] {
  try {
    return parseCertificates(pem).flatMap(({ issuer }) => issuer?.match(/^CN=(.*)$/m)?.[1] ?? []);
  } catch {
    // Whoever judges the certificate says what is wrong with it.
    return [];
  }
}
