import { createHash } from 'node:crypto';

import type { CertificateSpec } from '../../certificate/spec.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import { describeError } from '../../platform/errors.ts';
import type { CertificateService } from './service.ts';

/**
 * Before the first order of a set of names: looks at what would make it fail, and says so in the log. It hinders
 * nothing: a look from here may see less than the CA does.
 */
export async function preflightOnce(service: CertificateService, spec: CertificateSpec, issuer: AcmeIssuerConfig): Promise<void> {
  const { ledger, log, signal } = service;
  const key = `preflight ${spec.name} ${issuer.name}`;
  const subject = createHash('sha256')
    .update(JSON.stringify([issuer.directory, issuer.challenge, spec.identifiers]))
    .digest('base64url');
  if (ledger.value(key) === subject) return;
  try {
    for (const { ok, subject: about, what, remedy } of await service.preflight(spec, issuer)) {
      if (ok !== 'good') log.warn({ certificate: spec.name, issuer: issuer.name }, `${about}: ${what}; ${remedy}`);
    }
  } catch (error) {
    log.warn({ certificate: spec.name, issuer: issuer.name }, `the look before the first order failed: ${describeError(error)}`);
  }
  if (!signal.aborted) ledger.keepValue(key, subject);
}
