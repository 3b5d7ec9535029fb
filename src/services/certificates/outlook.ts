import { createHash } from 'node:crypto';

import type { Current, Decision } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { Condition, Outlook } from '../../ledger/ledger.ts';

/** A short digest of everything in a spec that a decision depends on. */
function specDigest(spec: CertificateSpec): string {
  const parts = [spec.identifiers.map(({ value }) => value), spec.keyType, spec.issuers, spec.lifetime, spec.renewBefore];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22);
}

/** What a look found, in the form that the next scan goes by. */
export function outlookOf(
  spec: CertificateSpec,
  link: string | undefined,
  current: Current,
  decision: Decision,
  failing: boolean,
): Outlook {
  return {
    certificate: spec.name,
    specDigest: specDigest(spec),
    link: link ?? null,
    notAfter: current.state === 'published' ? current.notAfter : null,
    reason: decision.reason,
    detail: decision.detail,
    nextLook: decision.nextLook,
    condition: conditionOf(decision, failing),
  };
}

/** Whether the last look at `spec` still holds: nothing changed and nothing is due. */
export function stillHolds(outlook: Outlook | undefined, spec: CertificateSpec, link: string | undefined, now: number): boolean {
  return outlook !== undefined && outlook.link === (link ?? null) && outlook.nextLook > now && outlook.specDigest === specDigest(spec);
}

function conditionOf(decision: Decision, failing: boolean): Condition {
  if (decision.emergency) return 'emergency';
  return failing || decision.reason === 'backing-off' ? 'failing' : 'well';
}
