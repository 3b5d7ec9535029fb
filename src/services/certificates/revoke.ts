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
  readonly reason: string;
  /** It was revoked before; nobody was asked again. */
  readonly already: boolean;
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
  const server = [manifest.issuer, ...spec.issuers].find((name) => config.issuers[name] !== undefined);
  // Of what was adopted or imported nobody knows who issued it: the certificate's own key speaks for it at the right CA.
  if (server === undefined || (manifest.origin === 'issued' && server !== manifest.issuer)) {
    throw refused(
      spec,
      `generation ${number} is from ${manifest.issuer}, which is no configured ACME server`,
      'podserve certificates --mode renew --force replaces it; clients stop trusting the old one when it expires',
    );
  }
  if (config.issuers[server]?.rehearse !== undefined) {
    throw refused(
      spec,
      `${server} is only rehearsed: another server than the one that issued it would be asked`,
      `take rehearse out of issuers.${server}`,
    );
  }
  const before = ledger.revocation(manifest.leafSha256);
  if (before !== undefined)
    return { generation: number, issuer: manifest.issuer, serial: manifest.serial, reason: before.reason, already: true };
  await using issuer = await service.issuers.acme(server);
  await issuer.revoke(bundle, reason, signal);
  const at = clock.now();
  const detail = `generation ${number} of ${manifest.issuer}, serial ${manifest.serial}, was revoked: ${reason}`;
  ledger.together(() => {
    ledger.keepRevocation({ leafSha256: manifest.leafSha256, certificate: spec.name, at, reason });
    ledger.record({ at, certificate: spec.name, kind: 'revoked', reason, detail, generation: number });
    // What failed before was about another need.
    ledger.clearFailure(spec.name);
    ledger.lookAgain(at);
  });
  service.log.warn({ certificate: spec.name, generation: number, reason }, detail);
  return { generation: number, issuer: manifest.issuer, serial: manifest.serial, reason, already: false };
}

function refused(spec: CertificateSpec, why: string, remedy: string): PodserveError {
  return new PodserveError('ISSUE_FAILED', `the certificate ${spec.name} cannot be revoked`, { why, remedy });
}
