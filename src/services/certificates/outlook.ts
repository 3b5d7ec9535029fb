import { createHash } from 'node:crypto';

import type { Current, Decision } from '../../certificate/renewal.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';
import type { Config } from '../../config/config.ts';
import type { Condition, Outlook } from '../../ledger/ledger.ts';

/** A short digest of everything in the configuration that a decision about a certificate depends on. */
function specDigest(spec: CertificateSpec, issuers: Config['issuers']): string {
  const names = spec.identifiers.map(({ value }) => value);
  const servers = spec.issuers.map((name) => issuers[name] ?? null);
  const parts = [names, spec.keyType, spec.issuers, spec.lifetime, spec.renewBefore, servers];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22);
}

/** What a look found, in the form that the next scan goes by. */
export function outlookOf(
  spec: CertificateSpec,
  link: string | undefined,
  current: Current,
  decision: Decision,
  failing: boolean,
  issuers: Config['issuers'],
): Outlook {
  return {
    certificate: spec.name,
    specDigest: specDigest(spec, issuers),
    link: link ?? null,
    notAfter: current.state === 'published' ? current.notAfter : null,
    reason: decision.reason,
    detail: decision.detail,
    nextLook: decision.nextLook,
    condition: conditionOf(decision, failing),
  };
}

/** Whether the last look at `spec` still holds: nothing changed and nothing is due. */
export function stillHolds(
  outlook: Outlook | undefined,
  spec: CertificateSpec,
  issuers: Config['issuers'],
  link: string | undefined,
  now: number,
): boolean {
  return outlook !== undefined && outlook.link === (link ?? null) && outlook.nextLook > now && isJudgedAs(outlook, spec, issuers);
}

/** Whether the last look was by the same configuration. */
export function isJudgedAs({ specDigest: judged }: Outlook, spec: CertificateSpec, issuers: Config['issuers']): boolean {
  return judged === specDigest(spec, issuers);
}

function conditionOf(decision: Decision, failing: boolean): Condition {
  if (decision.emergency) return 'emergency';
  return failing || decision.reason === 'backing-off' ? 'failing' : 'well';
}
