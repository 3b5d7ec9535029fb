import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseCertificates, uncovered } from '../../certificate/bundle.ts';
import type { Manifest } from '../../certificate/generation.ts';
import { emergencyLine, plannedRenewal, type Current } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { describeError, systemCode } from '../../platform/errors.ts';
import { adviceOf } from './advice.ts';
import { survey } from './survey.ts';

/** What an offline look at one published certificate found. Times are ms since the epoch. */
export interface Finding {
  readonly name: string;
  readonly state:
    | 'good'
    | 'missing'
    | 'corrupt'
    | 'unreadable'
    | 'expired'
    | 'revoked'
    | 'emergency'
    | 'from-the-future'
    | 'name-not-covered';
  /** One line; empty when good. */
  readonly why: string;
  readonly manifest: Manifest | undefined;
  readonly renewalAt: number | undefined;
  /** Whether somebody has to do something: exit code 1. */
  readonly attention: boolean;
}

/**
 * Reads and proves one certificate as it is published. Changes nothing and asks nobody.
 * @param ledger where there is one: it knows what the CA advised, and what was revoked
 */
export async function checkCertificate(root: string, spec: CertificateSpec, now: number, ledger?: Ledger): Promise<Finding> {
  try {
    const surveyed = await survey(root, spec.name);
    const { current, generation } = surveyed;
    const advice = ledger === undefined ? undefined : adviceOf({ ledger }, spec, surveyed);
    const manifest = generation?.manifest;
    const found = judge(spec, current, now) ?? judgeRevoked(manifest, ledger);
    const renewalAt = current.state === 'published' ? plannedRenewal(spec, current, advice) : undefined;
    if (found !== undefined) return { name: spec.name, manifest, renewalAt, attention: true, ...found };
    const missing = generation === undefined ? [] : uncovered(generation.bundle.leaf, spec.identifiers);
    if (missing.length === 0) return { name: spec.name, state: 'good', why: '', manifest, renewalAt, attention: false };
    const why = `it does not cover ${missing.join(', ')}; podserve certificates --mode renew makes a new one`;
    return { name: spec.name, state: 'name-not-covered', why, manifest, renewalAt, attention: true };
  } catch (error) {
    return { name: spec.name, state: 'unreadable', why: describeError(error), manifest: undefined, renewalAt: undefined, attention: true };
  }
}

/** What is wrong with `ca.pem`, which whoever verifies a leaf of the built-in CA needs; undefined when nothing is. */
export function checkRoots(root: string): string | undefined {
  const file = join(root, 'ca.pem');
  const remedy = 'podserve certificates --mode renew writes it anew';
  try {
    return parseCertificates(readFileSync(file, 'utf8')).length > 0 ? undefined : `${file}: there is no certificate in it; ${remedy}`;
  } catch (error) {
    return `${file}: ${systemCode(error) === 'ENOENT' ? 'it is missing' : describeError(error)}; ${remedy}`;
  }
}

function judgeRevoked(manifest: Manifest | undefined, ledger: Ledger | undefined): Pick<Finding, 'state' | 'why'> | undefined {
  const revocation = manifest === undefined ? undefined : ledger?.revocation(manifest.leafSha256);
  if (revocation === undefined) return undefined;
  return { state: 'revoked', why: `it was revoked (${revocation.reason}); podserve certificates --mode renew replaces it` };
}

function judge(spec: CertificateSpec, current: Current, now: number): Pick<Finding, 'state' | 'why'> | undefined {
  if (current.state === 'absent') return { state: 'missing', why: 'nothing is published; podserve certificates --mode init makes it' };
  if (current.state === 'damaged') return { state: 'corrupt', why: `${current.why}; podserve certificates --mode renew replaces it` };
  if (now >= current.notAfter)
    return { state: 'expired', why: 'it has expired; podserve certificates --mode renew says why it was not renewed' };
  if (now < current.notBefore) return { state: 'from-the-future', why: 'it is not valid yet; is the clock right?' };
  if (now < emergencyLine(spec, current)) return undefined;
  return { state: 'emergency', why: 'it should have been renewed by now; podserve certificates --mode renew says what hinders it' };
}
