import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

import { fullchainPem, parseBundle } from '../../certificate/bundle.ts';
import type { Config } from '../../config/config.ts';
import { parseEndpoint } from '../../delivery/endpoint.ts';
import { PodserveError, messageOf } from '../../platform/errors.ts';
import type { HeldCertificates, ServedAt, TlsService, WantedCertificate } from '../service.ts';
import type { SecureListener } from './listener.ts';

/**
 * The status page as a consumer of its certificate (service.ts): it takes new ones in its own process, so there is
 * no daemon to reload. `config` gives the configuration as it is now.
 */
export function adminService(config: () => Config, listener: SecureListener, port: number): TlsService {
  return {
    name: 'admin',
    wanted: () => wantedBy(config()),
    async apply(held) {
      const certificate = held.get(config().admin.certificate);
      if (certificate === undefined) return;
      const pem = await readFile(certificate.file, 'utf8');
      const bundle = parseBundle(pem, pem);
      try {
        listener.setSecureContext({ key: bundle.privateKeyPem, cert: fullchainPem(bundle) });
      } catch (cause) {
        throw new PodserveError('DAEMON_FAILED', 'the status page cannot take its certificate', {
          where: certificate.file,
          why: messageOf(cause),
        });
      }
    },
    servedAt: (held) => servedAt(held, config(), listener, port),
    daemons: () => [],
  };
}

function wantedBy({ admin, certificates }: Config): readonly WantedCertificate[] {
  return certificates.filter(({ name }) => name === admin.certificate).map(({ name, identifiers }) => ({ name, identifiers }));
}

/** Every certificate of the page is served at every address, whatever name is asked for: one handshake each is proof. */
function servedAt(held: HeldCertificates, { admin }: Config, { addresses }: SecureListener, port: number): ServedAt[] {
  if (!held.has(admin.certificate)) return [];
  return addresses.map((address) => {
    const endpoint = parseEndpoint(`https://${reachable(address)}:${port}`);
    return { endpoint, servername: undefined, certificate: admin.certificate };
  });
}

/** An address to connect to, for one to listen on; IPv6 in brackets. */
function reachable(address: string): string {
  const host = address === '::' ? '::1' : address === '0.0.0.0' ? '127.0.0.1' : address;
  return isIP(host) === 6 ? `[${host}]` : host;
}
