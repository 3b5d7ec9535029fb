import { realpathSync, readFileSync } from 'node:fs';

import type { AcmeClient } from '../../acme/client.ts';
import type { AcmeIssuerConfig } from '../../config/config.ts';
import type { ChallengeSolver } from '../../challenges/solver.ts';
import { messageOf } from '../../platform/errors.ts';
import { version } from '../../platform/version.ts';
import type { AcmeIssuer, AcmeIssuerOptions } from './acme.ts';
import { certificateId } from './certificate-id.ts';
import { IssueFailure } from './failure.ts';
import { issueCertificate } from './issue.ts';
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
  const client = once(async () => overrides.client ?? opening.use(await openClient(config)));
  const solver = once(async (): Promise<ChallengeSolver> => opening.use(await options.solver()));
  const place = async (): Promise<OrderPlace> => ({ ...options, solver, client: await client() });
  const never = new AbortController().signal;
  let turn: Promise<unknown> = Promise.resolve();

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
      return issueCertificate(await place(), spec, { signal, replaces, inTurn });
    },
    settled(certificate) {
      forget(options, certificate);
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

/** The client for an issuer's server. @throws IssueFailure of kind configuration when its roots cannot be read */
export async function openClient(config: AcmeIssuerConfig): Promise<AcmeClient> {
  const { openAcmeClient } = await import('../../acme/open.ts');
  const { directory, caFile } = config;
  const ca = caFile === undefined ? {} : { ca: readRoots(config.name, caFile) };
  return openAcmeClient({ directory, userAgent: `podserve/${version()}`, ...ca });
}

function readRoots(issuer: string, file: string): string {
  try {
    // Files that Kubernetes mounts are links.
    return readFileSync(realpathSync(file), 'utf8');
  } catch (cause) {
    throw new IssueFailure(`the roots to trust for ${issuer} cannot be read`, {
      kind: 'configuration',
      scope: 'issuer',
      where: file,
      why: messageOf(cause),
      remedy: `correct issuers.${issuer}.caFile, or make the file readable for user ${process.geteuid?.() ?? '?'}`,
      cause,
    });
  }
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
