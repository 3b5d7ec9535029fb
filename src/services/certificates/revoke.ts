import type { CertificateSpec } from '../../certificate/spec.ts';
import type { RevocationReason } from '../../acme/resources.ts';
import { PodserveError } from '../../platform/errors.ts';
import { lockOrder } from './order-lock.ts';
import type { CertificateService } from './service.ts';
import { survey } from './survey.ts';

export interface Revoked {
  readonly generation: number;
  readonly issuer: string;
  readonly serial: string;
}

/**
 * Has the CA revoke what is published. From then on it counts as needing a replacement at once, whatever else happens.
 * @throws PodserveError ISSUE_FAILED where there is nothing to revoke or the CA refuses; nothing is changed then
 */
export async function revokePublished(service: CertificateService, spec: CertificateSpec, reason: RevocationReason): Promise<Revoked> {
  const { ledger, clock, signal, paths, config } = service;
  await using _ = await lockOrder(service, spec.name);
  const { generation } = await survey(paths.certificates, spec.name);
  if (generation === undefined) throw refused(spec, 'nothing whole is published', 'podserve certificates --mode check says what is wrong');
  const { manifest, bundle, number } = generation;
  if (manifest.origin !== 'issued' || config.issuers[manifest.issuer] === undefined) {
    throw refused(
      spec,
      `generation ${number} is from ${manifest.issuer}, which is no configured ACME server`,
      'podserve certificates --mode renew --force replaces it; clients stop trusting the old one when it expires',
    );
  }
  if (config.issuers[manifest.issuer]?.rehearse !== undefined) {
    throw refused(
      spec,
      `${manifest.issuer} is only rehearsed: another server than the one that issued it would be asked`,
      `take rehearse out of issuers.${manifest.issuer}`,
    );
  }
  await using issuer = await service.issuers.acme(manifest.issuer);
  await issuer.revoke(bundle, reason, signal);
  const at = clock.now();
  const detail = `generation ${number} of ${manifest.issuer}, serial ${manifest.serial}, was revoked: ${reason}`;
  ledger.together(() => {
    ledger.keepRevocation({ leafSha256: manifest.leafSha256, certificate: spec.name, at, reason });
    ledger.record({ at, certificate: spec.name, kind: 'revoked', reason, detail, generation: number });
    ledger.lookAgain(at);
  });
  service.log.warn({ certificate: spec.name, generation: number, reason }, detail);
  return { generation: number, issuer: manifest.issuer, serial: manifest.serial };
}

function refused(spec: CertificateSpec, why: string, remedy: string): PodserveError {
  return new PodserveError('ISSUE_FAILED', `the certificate ${spec.name} cannot be revoked`, { why, remedy });
}
