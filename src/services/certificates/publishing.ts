import { lockPublication, type PublicationLock } from '../../publication/lock.ts';
import type { CertificateService } from './service.ts';

/** The publication lock as orders that end at their own times share it. */
export interface Publishing {
  /** Runs `work` under the lock. Different names may be worked on at the same time. @throws what `work` throws, PUBLICATION_LOCKED */
  run<T>(work: (lock: PublicationLock) => Promise<T>): Promise<T>;
}

interface Hold {
  readonly lock: Promise<PublicationLock>;
  /** Settled when the lock is free again. */
  readonly released: Promise<void>;
  readonly release: () => void;
  users: number;
  /** Nobody joins later. */
  until: number;
}

const WAIT_FOR_LOCK_MS = 30_000;
/** Others may want it too: with always another order ending, it would never be free. */
const LONGEST_HOLD_MS = 500;

/**
 * Takes the lock when something is to be published, and lets whatever ends meanwhile in under the same lock: an order
 * would otherwise wait for a poll of the lock that its own process holds.
 */
export function sharedPublishing(service: CertificateService): Publishing {
  let current: Hold | undefined;
  let last: Promise<void> = Promise.resolve();

  function takeHold(): Hold {
    const { publisher, paths, signal } = service;
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const lock = last.then(() => lockPublication(paths.certificates, { publisher, waitMs: WAIT_FOR_LOCK_MS, signal }));
    const hold: Hold = { lock, released, release, users: 0, until: Number.POSITIVE_INFINITY };
    void lock.then(
      () => (hold.until = performance.now() + LONGEST_HOLD_MS),
      () => (hold.until = 0),
    );
    last = released;
    return hold;
  }

  async function giveBack(hold: Hold): Promise<void> {
    if (current === hold) current = undefined;
    await hold.lock.then(
      (lock) => lock[Symbol.asyncDispose](),
      () => undefined,
    );
    hold.release();
  }

  return {
    async run(work) {
      if (current === undefined || performance.now() >= current.until) current = takeHold();
      const hold = current;
      hold.users += 1;
      try {
        return await work(await hold.lock);
      } finally {
        hold.users -= 1;
        if (hold.users === 0) await giveBack(hold);
      }
    },
  };
}
