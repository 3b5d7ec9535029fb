import type { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseCertificates, pemOf } from '../../certificate/bundle.ts';
import type { Identifier } from '../../certificate/identifier.ts';
import { isLocalIssuer } from '../../certificate/spec.ts';
import type { RootsState } from '../../issuers/local-ca/local-ca.ts';
import type { PublicationLock } from '../../publication/lock.ts';
import { listNames } from '../../publication/layout.ts';
import { publishRoots } from '../../publication/roots.ts';
import type { CertificateService } from './service.ts';
import { survey } from './survey.ts';

/**
 * Whether the built-in CA needs its next root, or `ca.pem` lacks one: also when no certificate is due, or a successor
 * would sign before it was announced, and a deleted `ca.pem` would stay away until the next renewal.
 */
export async function rootsDue(service: CertificateService, now: number): Promise<boolean> {
  try {
    const ca = await service.issuers.localCa();
    if (await ca.needsRoot(now, identifiersToSign(service))) return true;
    const published = new Set(publishedRoots(service.paths.certificates).map((one) => one.fingerprint256));
    return (await ca.roots(now)).roots.some((root) => !published.has(root.certificate.fingerprint256));
  } catch {
    // What is wrong is said where it is acted on.
    return true;
  }
}

/**
 * Makes the built-in CA's first or next root where one is due, and publishes `ca.pem` before any leaf that needs it.
 * A CA that cannot be opened or written, or a `ca.pem` that cannot, is no error here: what does not need it goes on,
 * and what does is given the trouble, because nobody could verify its leaf.
 */
export async function publishCurrentRoots(service: CertificateService, lock: PublicationLock, now: number): Promise<{ trouble: unknown }> {
  try {
    const ca = await service.issuers.localCa();
    const state = await ca.prepare(now, identifiersToSign(service));
    const orphans = await orphanedRoots(lock.root, state, now);
    const others = publishedRoots(lock.root).length > 0;
    await publishRoots(lock.root, state.pem + orphans);
    recordRoots(service, state, now, others);
    return { trouble: undefined };
  } catch (trouble) {
    return { trouble };
  }
}

/** What the built-in CA signs: its own certificates, and placeholders until an ACME server has answered. */
function identifiersToSign({ config }: CertificateService): Identifier[] {
  const signed = config.certificates.filter(({ issuers }) => issuers.some((issuer) => issuer === 'local-ca' || !isLocalIssuer(issuer)));
  return signed.flatMap(({ identifiers }) => identifiers);
}

/**
 * Roots that `ca.pem` holds although the authority volume does not know them: it was lost. They stay while a
 * published leaf is theirs, or every client would refuse it from one moment to the next.
 */
async function orphanedRoots(root: string, state: RootsState, now: number): Promise<string> {
  const known = new Set(parseCertificates(state.pem).map((certificate) => certificate.fingerprint256));
  const orphans = publishedRoots(root).filter((one) => !known.has(one.fingerprint256) && now < one.validToDate.getTime());
  if (orphans.length === 0) return '';
  const leaves: (X509Certificate | undefined)[] = [];
  for (const name of listNames(root)) {
    // One that cannot be read keeps no root, and must not keep the others' roots from being published.
    const found = await survey(root, name).catch(() => undefined);
    leaves.push(found?.generation?.bundle.leaf);
  }
  return orphans
    .filter((one) => leaves.some((leaf) => leaf?.checkIssued(one) && leaf.verify(one.publicKey)))
    .map(pemOf)
    .join('');
}

function publishedRoots(root: string): X509Certificate[] {
  try {
    return parseCertificates(readFileSync(join(root, 'ca.pem'), 'utf8'));
  } catch {
    // Missing at first, and written anew where it is damaged.
    return [];
  }
}

/** @param others whether clients may trust an earlier root, and have to be given this one too */
function recordRoots(service: CertificateService, state: RootsState, now: number, others: boolean): void {
  const { ledger } = service;
  const newest = state.announced ?? state.signing;
  if (newest === undefined || ledger.value('newest-root') === newest.fingerprint256) return;
  const what =
    state.announced === undefined
      ? `root ${newest.number} of the built-in CA signs from now on`
      : `root ${newest.number} of the built-in CA is in ca.pem and signs from ${new Date(newest.signsFrom).toISOString()} on, for names that no older root may sign at once`;
  const detail = others ? `${what}: podserve ca trust installs it where the one before was trusted` : what;
  ledger.together(() => {
    ledger.keepValue('newest-root', newest.fingerprint256);
    ledger.record({
      at: now,
      certificate: null,
      kind: 'root',
      reason: state.announced === undefined ? 'made' : 'announced',
      detail,
      generation: null,
    });
  });
  if (others) service.log.warn({ root: newest.number }, detail);
  else service.log.info({ root: newest.number }, detail);
}
