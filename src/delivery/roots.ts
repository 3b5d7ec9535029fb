import { getCACertificates } from 'node:tls';

/** The roots that this host trusts, as PEM; Node's own list where the host has none. Takes some 20 ms. */
export function systemRoots(): string {
  const roots = new Set(getCACertificates('system'));
  // SSL_CERT_FILE names a consumer's certificate here (DESIGN §8), but OpenSSL takes it for the trust store.
  if (roots.size === 0 || process.env['SSL_CERT_FILE'] !== undefined) for (const root of getCACertificates('bundled')) roots.add(root);
  return [...roots].join('\n');
}
