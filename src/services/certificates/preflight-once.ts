import { createHash } from 'node:crypto';

import type { CertificateSpec } from '../../certificate/spec.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import { SECOND } from '../../platform/clock.ts';
import { describeError } from '../../platform/errors.ts';
import type { Finding } from '../doctor/finding.ts';
import type { CertificateService } from './service.ts';

/** Between looks while the web server that shall answer is coming up. */
const LOOK_AGAIN = 2 * SECOND;

/**
 * Before the first order of a set of names: looks at what would make it fail, and says so in the log. It hinders
 * nothing: a look from here may see less than the CA does.
 * @param patience how long to wait for a web server that does not answer yet, ms: on a boot it comes up beside us, and
 *   an order that it cannot answer is a failed validation that the CA counts
 */
export async function preflightOnce(
  service: CertificateService,
  spec: CertificateSpec,
  issuer: AcmeIssuerConfig,
  patience: number,
): Promise<void> {
  const { ledger, log, signal, clock } = service;
  const key = `preflight ${spec.name} ${issuer.name}`;
  const subject = createHash('sha256')
    .update(JSON.stringify([issuer.directory, issuer.challenge, spec.identifiers]))
    .digest('base64url');
  if (ledger.value(key) === subject) return;
  try {
    let findings = await service.preflight(spec, issuer);
    const until = clock.now() + (isServedByAnother(issuer) ? patience : 0);
    if (isUnanswered(findings) && clock.now() < until) {
      const line = `the order waits up to ${patience / SECOND} s for the web server that shall answer the challenge`;
      log.info({ certificate: spec.name, issuer: issuer.name }, line);
    }
    while (isUnanswered(findings) && clock.now() < until && !signal.aborted) {
      await clock.sleep(LOOK_AGAIN, signal);
      findings = await service.preflight(spec, issuer);
    }
    for (const { ok, subject: about, what, remedy } of findings) {
      if (ok !== 'good') log.warn({ certificate: spec.name, issuer: issuer.name }, `${about}: ${what}; ${remedy}`);
    }
  } catch (error) {
    log.warn({ certificate: spec.name, issuer: issuer.name }, `the look before the first order failed: ${describeError(error)}`);
  }
  if (!signal.aborted) ledger.keepValue(key, subject);
}

function isServedByAnother({ challenge }: AcmeIssuerConfig): boolean {
  return challenge.via === 'webroot';
}

function isUnanswered(findings: readonly Finding[]): boolean {
  return findings.some(({ check, ok }) => check === 'http-01' && ok === 'problem');
}
