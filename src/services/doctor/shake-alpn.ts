import { connect, type TLSSocket } from 'node:tls';

import { extensionValue } from '../../x509/certificate-reader.ts';
import { elements } from '../../x509/der-reader.ts';
import type { Connection } from './connection.ts';
import { faultOf, type ConnectionFault } from './fetch-token.ts';

/** What a CA would meet with the protocol acme-tls/1 at one address (RFC 8737 §3). */
export type Shaken =
  | {
      readonly state: 'shaken';
      /** What was agreed on; undefined for none. */
      readonly protocol: string | undefined;
      readonly certificate: ShownCertificate | undefined;
    }
  | { readonly state: 'failed'; readonly fault: ConnectionFault | 'handshake'; readonly why: string };

export interface ShownCertificate {
  /** As node:crypto writes them: `DNS:www.example.org, IP Address:192.0.2.1`. */
  readonly names: string;
  readonly subject: string;
  /** acmeIdentifier, the digest in hexadecimal; undefined where the certificate has none. */
  readonly digest: string | undefined;
}

export interface ShakeOptions extends Connection {
  readonly port: number;
  /** The name, or for an address its name for reverse lookups (RFC 8738 §6). */
  readonly serverName: string;
}

export const ACME_TLS = 'acme-tls/1';

/** DER of id-pe-acmeIdentifier, 1.3.6.1.5.5.7.1.31 (RFC 8737 §6.1). */
const ACME_IDENTIFIER = Uint8Array.of(0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f);

/** Shakes hands once, whatever certificate is shown. @throws the signal's reason */
export async function shakeAlpn({ address, port, serverName, timeoutMs, signal }: ShakeOptions): Promise<Shaken> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = (): void => reject(within.reason as Error);
  within.addEventListener('abort', stop, { once: true });
  const socket = connect({ host: address, port, servername: serverName, ALPNProtocols: [ACME_TLS], rejectUnauthorized: false });
  socket.once('secureConnect', resolve);
  socket.once('error', reject);
  try {
    await promise;
    return { state: 'shaken', protocol: protocolOf(socket), certificate: shownBy(socket) };
  } catch (error) {
    signal.throwIfAborted();
    const { fault, why } = faultOf(error, within);
    if (fault !== 'malformed') return { state: 'failed', fault, why };
    return { state: 'failed', fault: 'handshake', why: error instanceof Error ? error.message.split('\n')[0]! : String(error) };
  } finally {
    within.removeEventListener('abort', stop);
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

function protocolOf(socket: TLSSocket): string | undefined {
  return typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : undefined;
}

function shownBy(socket: TLSSocket): ShownCertificate | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const names = certificate.subjectAltName ?? '';
  const subject = certificate.subject ?? '';
  return { names, subject: subject.replaceAll('\n', ', '), digest: digestIn(certificate.raw) };
}

function digestIn(certificate: Uint8Array): string | undefined {
  try {
    const value = extensionValue(certificate, ACME_IDENTIFIER);
    const contents = value === undefined ? undefined : elements(value)[0]?.contents;
    return contents === undefined ? undefined : Buffer.from(contents).toString('hex');
  } catch {
    return undefined;
  }
}
