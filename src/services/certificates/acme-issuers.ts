import type { AcmeIssuer } from '../../issuers/acme/acme.ts';
import type { CertificateService } from './service.ts';

/** The ACME issuers of one batch of orders: each opened when first asked for, all closed at the end. */
export function openAcmeIssuers(service: CertificateService): AsyncDisposable & { acme(name: string): Promise<AcmeIssuer> } {
  const opened = new Map<string, Promise<AcmeIssuer>>();
  return {
    acme(name) {
      const known = opened.get(name) ?? service.issuers.acme(name);
      opened.set(name, known);
      return known;
    },
    async [Symbol.asyncDispose]() {
      for (const opening of opened.values()) {
        const issuer = await opening.catch(() => undefined);
        await issuer?.[Symbol.asyncDispose]();
      }
    },
  };
}
