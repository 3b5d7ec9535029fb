import type { X509Certificate } from 'node:crypto';

import { ariCertificateId } from '../../x509/ari-id.ts';

/** RFC 9773 §4.1; undefined where the certificate does not name its authority's key: no CA has a name for it then. */
export function certificateId(leaf: X509Certificate): string | undefined {
  try {
    return ariCertificateId(leaf);
  } catch {
    return undefined;
  }
}
