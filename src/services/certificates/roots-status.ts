import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parseCertificates } from '../../certificate/bundle.ts';
import type { Config } from '../../config/config.ts';
import { announcedRoot, chooseRoot } from '../../issuers/local-ca/choose-root.ts';
import { readRoot } from '../../issuers/local-ca/root.ts';
import { DAY } from '../../platform/clock.ts';

/** One root of `ca.pem`. Times are ISO 8601 in UTC. */
export interface RootStatus {
  readonly name: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly notBefore: string;
  readonly notAfter: string;
  /** `announced`: it will sign from `signsFrom` on; `kept`: it signs no more, but leaves of it may live. */
  readonly state: 'signs' | 'announced' | 'kept';
  readonly signsFrom: string | null;
}

/** To say which root signs, where that depends on it. */
const USUAL_LIFETIME = 90 * DAY;

/**
 * What `ca.pem` holds and what each root in it is for, newest first. Read from the publication alone: which root
 * signs follows from the roots' own dates, and the files with their keys are none of a report's business.
 */
export async function rootsStatus(config: Config, publication: string, now: number): Promise<RootStatus[]> {
  const certificates = await publishedRoots(publication);
  const roots = certificates.flatMap((certificate, index) => {
    const root = readRoot(index, certificate, true);
    return typeof root === 'string' ? [] : [root];
  });
  const identifiers = config.certificates.flatMap((spec) => (spec.issuers.includes('local-ca') ? spec.identifiers : []));
  const signing = chooseRoot(roots, identifiers, now, USUAL_LIFETIME);
  const announced = announcedRoot(roots, identifiers, now, signing);
  return certificates
    .map((certificate) => ({
      name: commonName(certificate),
      sha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
      notBefore: certificate.validFromDate.toISOString(),
      notAfter: certificate.validToDate.toISOString(),
      ...use(certificate),
    }))
    .toReversed();

  function use({ fingerprint256 }: X509Certificate): Pick<RootStatus, 'state' | 'signsFrom'> {
    if (fingerprint256 === signing?.fingerprint256) return { state: 'signs', signsFrom: null };
    if (announced === undefined || fingerprint256 !== announced.fingerprint256) return { state: 'kept', signsFrom: null };
    return { state: 'announced', signsFrom: new Date(announced.signsFrom).toISOString() };
  }
}

async function publishedRoots(publication: string): Promise<X509Certificate[]> {
  try {
    return parseCertificates(await readFile(join(publication, 'ca.pem'), 'utf8'));
  } catch {
    // Missing before the first publication; one that is damaged is written anew by the next pass.
    return [];
  }
}

function commonName(certificate: X509Certificate): string {
  return /^CN=(.+)$/m.exec(certificate.subject)?.[1] ?? certificate.subject.replaceAll('\n', ', ');
}
