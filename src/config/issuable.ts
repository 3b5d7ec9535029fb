import { displayIdentifier } from '../certificate/identifier.ts';
import type { CertificateSpec } from '../certificate/spec.ts';
import type { IssuerUse } from './certificates.ts';
import type { AcmeIssuerConfig } from './config.ts';
import type { Scope } from './scope.ts';
import { whyNotPublic } from './public-name.ts';
import { isLetsEncrypt } from './well-known.ts';

/** Why something can never be had, and what to change. */
interface Contradiction {
  readonly why: string;
  readonly remedy: string;
}

/** Profiles of Let's Encrypt with fewer names and shorter lives than its classic one. */
const SMALL_PROFILES: readonly (string | undefined)[] = ['tlsserver', 'shortlived'];

/** Reports each certificate that an issuer of its list could never give: nobody should wait for it. */
export function checkIssuable(
  scope: Scope,
  uses: readonly IssuerUse[],
  certificates: readonly CertificateSpec[],
  issuers: Readonly<Record<string, AcmeIssuerConfig>>,
): void {
  const specs = new Map(certificates.map((spec) => [spec.name, spec]));
  for (const { certificate, issuer: name, place } of uses) {
    const [spec, issuer] = [specs.get(certificate), issuers[name]];
    if (spec === undefined || issuer === undefined) continue;
    const found = contradiction(spec, issuer);
    if (found !== undefined) scope.report(place, found.why, found.remedy);
  }
}

/** Pure. The first reason why the issuer can never give the certificate, or undefined. */
function contradiction(spec: CertificateSpec, issuer: AcmeIssuerConfig): Contradiction | undefined {
  return challengeContradiction(spec, issuer) ?? (isLetsEncrypt(issuer.directory) ? letsEncryptContradiction(spec, issuer) : undefined);
}

/** RFC 8555 §7.1.3, RFC 8737 §3 and RFC 8738 §7. */
function challengeContradiction({ identifiers }: CertificateSpec, { name, challenge }: AcmeIssuerConfig): Contradiction | undefined {
  const wildcard = identifiers.find(({ type, value }) => type === 'dns' && value.startsWith('*.'));
  const address = identifiers.find(({ type }) => type === 'ip');
  if (wildcard !== undefined && address !== undefined) {
    return {
      why: `${displayIdentifier(wildcard)} can be proven by dns-01 alone, and ${address.value} never by dns-01`,
      remedy: 'make it two certificates',
    };
  }
  if (wildcard !== undefined && challenge.type !== 'dns-01') {
    return {
      why: `${name} uses ${challenge.type}, and the wildcard ${displayIdentifier(wildcard)} can be proven by dns-01 alone`,
      remedy: `give issuers.${name} challenge: dns-01, or list the names one by one`,
    };
  }
  if (address !== undefined && challenge.type === 'dns-01') {
    return {
      why: `${name} uses dns-01, and the address ${address.value} cannot be proven by it`,
      remedy: 'use an issuer with http-01 or tls-alpn-01 for it, or take the address out of the names',
    };
  }
  return undefined;
}

function letsEncryptContradiction({ identifiers }: CertificateSpec, { name, profile }: AcmeIssuerConfig): Contradiction | undefined {
  for (const identifier of identifiers) {
    const why = whyNotPublic(identifier);
    if (why === undefined) continue;
    return { why: `${name} can never certify this: ${why}`, remedy: 'take it out of the names, or use local-ca for this certificate' };
  }
  const address = identifiers.find(({ type }) => type === 'ip');
  if (address !== undefined && profile !== 'shortlived') {
    return {
      why: `${name} certifies the address ${address.value} with the profile shortlived alone`,
      remedy: `give issuers.${name} profile: shortlived, or take the address out of the names`,
    };
  }
  const most = SMALL_PROFILES.includes(profile) ? 25 : 100;
  if (identifiers.length <= most) return undefined;
  const withProfile = most === 25 ? ` with the profile ${profile}` : '';
  return {
    why: `${identifiers.length} names are too many: ${name} takes at most ${most}${withProfile}`,
    remedy: 'make it several certificates',
  };
}
