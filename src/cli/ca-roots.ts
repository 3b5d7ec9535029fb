import type { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseCertificates, pemOf } from '../certificate/bundle.ts';
import type { StatePaths } from '../config/state.ts';
import { openLocalCa, type RootsState } from '../issuers/local-ca/local-ca.ts';
import { PodserveError, describeError, messageOf, systemCode } from '../platform/errors.ts';
import { OUR_ROOTS, type Anchor } from '../platform/trust/store.ts';

/** The built-in CA as this user may see it. */
export interface KnownRoots {
  /** At least one. */
  readonly anchors: readonly KnownRoot[];
  /** The path of ca.pem, and whether the roots were read from it. */
  readonly file: string;
  readonly published: boolean;
  /** What the authority volume says, or undefined where this user may not look into it. */
  readonly state: RootsState | undefined;
}

export interface KnownRoot extends Anchor {
  readonly certificate: X509Certificate;
}

/**
 * The roots in ca.pem; before it is published, those of the authority volume.
 * @throws PodserveError AUTHORITY_UNREADABLE when there is no CA yet, PUBLICATION_UNREADABLE when ca.pem cannot be read
 */
export async function knownRoots(paths: StatePaths, now: number): Promise<KnownRoots> {
  const file = join(paths.certificates, 'ca.pem');
  const pem = publishedRoots(file);
  const state = await authorityState(paths, now);
  const certificates = parseRoots(pem ?? state?.pem ?? '', file);
  if (certificates.length === 0) {
    throw new PodserveError('AUTHORITY_UNREADABLE', 'there is no built-in CA here yet', {
      where: file,
      remedy: 'podserve certificates --mode init makes it; --state DIR says where it is when it is elsewhere',
    });
  }
  return { anchors: certificates.map(anchorOf), file, published: pem !== undefined, state };
}

function publishedRoots(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1');
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return undefined;
    throw new PodserveError('PUBLICATION_UNREADABLE', 'the roots of the built-in CA cannot be read', {
      where: file,
      why: messageOf(cause),
      cause,
    });
  }
}

/** Whoever may read ca.pem need not be allowed to see the authority, which holds the keys. */
async function authorityState(paths: StatePaths, now: number): Promise<RootsState | undefined> {
  try {
    return await openLocalCa({ directory: paths.localCa, permit: [] }).roots(now);
  } catch (error) {
    if (error instanceof PodserveError && error.code === 'AUTHORITY_UNREADABLE') return undefined;
    throw error;
  }
}

function parseRoots(pem: string, file: string): X509Certificate[] {
  try {
    return parseCertificates(pem);
  } catch (cause) {
    throw new PodserveError('PUBLICATION_UNREADABLE', 'the roots of the built-in CA cannot be read', {
      where: file,
      why: describeError(cause),
      remedy: 'podserve certificates --mode renew writes the file anew',
      cause,
    });
  }
}

function anchorOf(certificate: X509Certificate, index: number): KnownRoot {
  const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  // The name that certificate viewers, the status page and podserve status show: it tells roots of different stacks apart.
  const name = new RegExp(`^CN=(${OUR_ROOTS} .+)$`, 'm').exec(certificate.subject)?.[1];
  const nickname = name ?? `${OUR_ROOTS} ${index + 1} ${fingerprint.slice(0, 8)}`;
  return { nickname, fingerprint, pem: pemOf(certificate), certificate };
}
