import type { AcmeClient } from '../../acme/client.ts';
import type { ChallengeSolver } from '../../challenges/solver.ts';
import type { AcmeIssuer, AcmeIssuerOptions } from './acme.ts';
import { certificateId } from './certificate-id.ts';
import { keptDirectoryIn } from './kept-directory.ts';
import { openClient } from './open-client.ts';
import { forgetPublished, isOrdered, issueCertificate } from './issue.ts';
import { forget } from './order.ts';
import type { OrderPlace } from './place.ts';
import { revokeCertificate } from './revoke.ts';

/** What an ACME issuer may be given instead of opening it itself; the giver closes it. */
export interface AcmeIssuerOverrides {
  readonly client?: AcmeClient;
}

/** An ACME server as an issuer. Nothing is asked and nothing written before the first order. */
export async function openAcmeIssuer(options: AcmeIssuerOptions, overrides: AcmeIssuerOverrides = {}): Promise<AcmeIssuer> {
  const { config } = options;
  const opening = new AsyncDisposableStack();
  const { clock, directory } = options;
  const kept = keptDirectoryIn(directory, config.directory);
  const client = once(async () => overrides.client ?? opening.use(await openClient(config, remembered())));
  const solver = once(async (): Promise<ChallengeSolver> => opening.use(await options.solver()));
  const place = async (): Promise<OrderPlace> => ({ ...options, solver, client: await client() });
  const never = new AbortController().signal;
  let turn: Promise<unknown> = Promise.resolve();

  function remembered(): Parameters<typeof openClient>[1] {
    return { known: kept.read(clock.now()), onDirectory: (found) => void kept.keep(found, clock.now()) };
  }

  /** The account is made by one order, not by each of those that begin at once. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  }

  return {
    name: config.name,
    config,
    async issue(spec, { signal = never, replaces }) {
      signal.throwIfAborted();
      try {
        return await issueCertificate(await place(), spec, { signal, replaces, inTurn });
      } catch (error) {
        kept.forget();
        throw error;
      }
    },
    isUnderWay: (spec, published) => isOrdered(options, spec, published),
    settled(certificate) {
      forget(options, certificate);
    },
    settledBefore(certificate, published) {
      forgetPublished(options, certificate, published);
    },
    async renewalInfo(leaf, signal) {
      const { renewalInfo } = await (await client()).directory(signal);
      const id = certificateId(leaf);
      return renewalInfo === undefined || id === undefined ? undefined : (await client()).renewalInfo(id, signal);
    },
    async revoke(bundle, reason, signal) {
      await revokeCertificate(await place(), bundle, reason, signal);
    },
    [Symbol.asyncDispose]: () => opening.disposeAsync(),
  };
}

/** One opening for all; one that failed is tried again by the next. */
function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return () => {
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
}
