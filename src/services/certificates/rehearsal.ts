import type { CertificateSpec } from '../../certificate/spec.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import type { Ledger } from '../../ledger/ledger.ts';

/** When a certificate's last rehearsal with this issuer succeeded, ms since the epoch, or undefined; for other names it says nothing. */
export function rehearsedAt(ledger: Ledger, spec: CertificateSpec, issuer: AcmeIssuerConfig): number | undefined {
  const [what, at] = (ledger.value(keyOf(spec, issuer)) ?? '').split('\n');
  return what === subjectOf(spec, issuer) && at !== undefined ? Number(at) : undefined;
}

export function keepRehearsal(ledger: Ledger, spec: CertificateSpec, issuer: AcmeIssuerConfig, at: number): void {
  ledger.keepValue(keyOf(spec, issuer), `${subjectOf(spec, issuer)}\n${at}`);
}

function keyOf(spec: CertificateSpec, issuer: AcmeIssuerConfig): string {
  return `rehearsed ${spec.name} ${issuer.name}`;
}

function subjectOf(spec: CertificateSpec, issuer: AcmeIssuerConfig): string {
  const names = spec.identifiers.map(({ value }) => value).join(',');
  return [issuer.rehearse, issuer.profile, issuer.challenge.type, names].join(' ');
}
