import type { Bundle } from '../../src/certificate/bundle.ts';
import { lockPublication, type PublicationLock } from '../../src/publication/lock.ts';
import { publish, type Published, type PublishRequest } from '../../src/publication/publish.ts';
import { makeBundle } from './bundles.ts';

export const PUBLISHER = { host: 'testhost', command: 'test', version: '0' } as const;

/** A group that this process may give files to. */
export const OWN_GROUP = process.getegid?.() ?? 0;

export function lockNow(root: string): Promise<PublicationLock> {
  return lockPublication(root, { publisher: PUBLISHER, waitMs: 10_000 });
}

/** What `publish` is asked for, with everything that a test does not care about. */
export function requestFor(name: string, bundle: Bundle, changes: Partial<PublishRequest> = {}): PublishRequest {
  return {
    name,
    bundle,
    issuer: 'local-ca',
    origin: 'issued',
    placeholder: false,
    now: Date.now(),
    keyGid: OWN_GROUP,
    publisher: PUBLISHER,
    ...changes,
  };
}

/** Publishes under a lock of its own: a new bundle unless one is given. */
export async function publishOne(root: string, name = 'default', changes: Partial<PublishRequest> = {}): Promise<Published> {
  await using lock = await lockNow(root);
  return await publish(lock, requestFor(name, changes.bundle ?? (await makeBundle()), changes));
}
