import { sameCertificate, type Anchor, type TrustStore } from './store.ts';

/** What became of one root in one store. */
export interface Change {
  readonly root: string;
  readonly changed: boolean;
}

/** Makes the store trust every anchor. Those that it trusts already are left alone. @throws PodserveError TRUST_STORE_FAILED */
export async function trustIn(store: TrustStore, anchors: readonly Anchor[]): Promise<Change[]> {
  const held = await store.held();
  const missing = anchors.filter((anchor) => !held.some(({ pem, trusted }) => trusted && sameCertificate(pem, anchor.pem)));
  if (missing.length > 0) await store.add(missing);
  return anchors.map((anchor) => ({ root: anchor.nickname, changed: missing.includes(anchor) }));
}

/** Takes every anchor out of the store, also one that is only half installed. @throws PodserveError TRUST_STORE_FAILED */
export async function untrustIn(store: TrustStore, anchors: readonly Anchor[]): Promise<Change[]> {
  const held = await store.held();
  const found = held.filter(({ pem }) => anchors.some((anchor) => sameCertificate(pem, anchor.pem)));
  if (found.length > 0) await store.remove(found);
  return anchors.map((anchor) => ({ root: anchor.nickname, changed: found.some(({ pem }) => sameCertificate(pem, anchor.pem)) }));
}

/** Takes every root of any PodServe out of the store. @throws PodserveError TRUST_STORE_FAILED */
export async function untrustAllIn(store: TrustStore): Promise<Change[]> {
  const held = await store.held();
  if (held.length > 0) await store.remove(held);
  return held.map(({ name }) => ({ root: name, changed: true }));
}
