import type { X509Certificate } from 'node:crypto';

import { identifiersOf, parseCertificates } from '../certificate/bundle.ts';
import { covers, displayIdentifier, parseIdentifier } from '../certificate/identifier.ts';
import { DAY } from '../platform/clock.ts';
import type { FailureDetail, ProbeStep } from './failure.ts';

/** What is known after a handshake. */
export interface Evidence {
  /** As served, leaf first. */
  readonly chain: readonly X509Certificate[];
  /** The name or address that the leaf must speak for. */
  readonly name: string;
  /** OpenSSL's verdict on the chain against `trust`: undefined, or a code such as `CERT_HAS_EXPIRED`. */
  readonly chainError: string | undefined;
  /** PEM roots. */
  readonly trust: string;
  readonly now: number;
}

export interface Finding {
  readonly step: ProbeStep;
  readonly detail: Pick<FailureDetail, 'why' | 'remedy'>;
}

/** Everything that is wrong with a served certificate: name, chain, expiry, in this order. Empty: all is well. */
export function judge(evidence: Evidence): Finding[] {
  return [judgeName(evidence), judgeChain(evidence), judgeDates(evidence)].filter((finding) => finding !== undefined);
}

function judgeName({ chain, name }: Evidence): Finding | undefined {
  const have = chain[0] === undefined ? [] : identifiersOf(chain[0]);
  if (covers(have, parseIdentifier(name))) return undefined;
  const names = have.map(displayIdentifier);
  const shown = names.length > 8 ? `${names.slice(0, 8).join(', ')} and ${names.length - 8} more` : names.join(', ');
  return {
    step: 'name',
    detail: {
      why: `it does not speak for ${name}, only for ${shown === '' ? 'no name at all' : shown}`,
      remedy: 'add the name to the certificate, or ask for another with --servername',
    },
  };
}

/** OpenSSL reports one error, and a date hides a missing root: then signatures are followed here. */
function judgeChain({ chain, chainError, trust }: Evidence): Finding | undefined {
  if (chainError === undefined) return undefined;
  const aboutDates = chainError === 'CERT_HAS_EXPIRED' || chainError === 'CERT_NOT_YET_VALID';
  if (aboutDates && leadsTo(chain, parseCertificates(trust))) return undefined;
  const last = chain.at(-1);
  return {
    step: 'chain',
    detail: {
      why: `${CHAIN_ERRORS[chainError] ?? chainError}, its chain of ${chain.length} ends at ${oneLineName(last?.issuer ?? '')}`,
      remedy: 'serve the intermediates with it (fullchain.pem), or give its root with --ca FILE',
    },
  };
}

const CHAIN_ERRORS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it signs itself and is not among the trusted roots',
  SELF_SIGNED_CERT_IN_CHAIN: 'its root is not among the trusted ones',
  UNABLE_TO_GET_ISSUER_CERT: 'an issuer is missing',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its issuer is neither served nor trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its issuer is neither served nor trusted',
  CERT_HAS_EXPIRED: 'its issuer is not trusted',
  CERT_NOT_YET_VALID: 'its issuer is not trusted',
  CERT_SIGNATURE_FAILURE: 'a signature in it is wrong',
  PERMITTED_VIOLATION: "a name is outside its CA's name constraints",
  INVALID_PURPOSE: 'it is not for servers',
};

function judgeDates({ chain, now }: Evidence): Finding | undefined {
  for (const certificate of chain) {
    const whose = certificate === chain[0] ? 'it' : `its issuer ${oneLineName(certificate.subject)}`;
    const { validFromDate: from, validToDate: to } = certificate;
    if (to.getTime() <= now) {
      const why = `${whose} expired on ${to.toISOString()}, ${age(now - to.getTime())} ago`;
      return { step: 'expiry', detail: { why, remedy: 'renew it, and reload the service if it is renewed already' } };
    }
    if (from.getTime() > now) {
      const why = `${whose} begins on ${from.toISOString()}, in ${age(from.getTime() - now)}`;
      return { step: 'expiry', detail: { why, remedy: 'check the clocks of this host and of the issuer' } };
    }
  }
  return undefined;
}

function leadsTo(chain: readonly X509Certificate[], roots: readonly X509Certificate[]): boolean {
  for (const [index, certificate] of chain.entries()) {
    if (roots.some((root) => root.fingerprint256 === certificate.fingerprint256 || signed(root, certificate))) return true;
    const next = chain[index + 1];
    if (next === undefined || !signed(next, certificate)) return false;
  }
  return false;
}

function signed(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function age(ms: number): string {
  return ms < DAY ? `${(ms / 3_600_000).toFixed(1)} h` : `${Math.floor(ms / DAY)} d`;
}

/** OpenSSL's multi-line name as one line; empty for an empty name, which Node gives as undefined whatever its types say. */
export function oneLineName(name: string | undefined): string {
  return name?.split('\n').join(', ') ?? '';
}
