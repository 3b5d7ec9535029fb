import { join } from 'node:path';

import type { SolverOpener } from '../../challenges/shared.ts';
import type { Config } from '../../config/config.ts';
import type { StatePaths } from '../../config/state.ts';
import type { AcmeIssuer } from '../../issuers/acme/acme.ts';
import type { Issuer } from '../../issuers/issuer.ts';
import type { LocalCa } from '../../issuers/local-ca/local-ca.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Clock } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import type { Issuers } from './service.ts';

export interface IssuerSurroundings {
  readonly config: Config;
  readonly paths: StatePaths;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Log;
  /** Those of the configuration before, where they are of use; default: new ones. */
  readonly solvers?: SolverOpener | undefined;
}

/** The issuers of a configuration by name. Each is loaded and opened when it is first asked for. */
export function configuredIssuers(surroundings: IssuerSurroundings): Issuers {
  let opened: Promise<LocalCa> | undefined;
  const localCa = (): Promise<LocalCa> => {
    opened ??= openCa(surroundings);
    return opened;
  };
  let { solvers } = surroundings;
  const solverFor: SolverOpener = async (challenge) => {
    const { sharedSolvers } = await import('../../challenges/shared.ts');
    const { config, paths, clock, log } = surroundings;
    solvers ??= sharedSolvers({ challengesDirectory: paths.challenges, resolvers: config.resolvers, clock, log });
    return solvers(challenge);
  };
  return {
    localCa,
    solverFor,
    async named(name): Promise<Issuer> {
      if (name === 'local-ca') return localCa();
      if (name === 'self-signed') {
        const { selfSigned } = await import('../../issuers/self-signed.ts');
        return selfSigned();
      }
      throw unknownIssuer(name);
    },
    acme: (name) => openAcme(surroundings, name, solverFor),
  };
}

async function openCa({ config, paths, log }: IssuerSurroundings): Promise<LocalCa> {
  const { openLocalCa } = await import('../../issuers/local-ca/local-ca.ts');
  return openLocalCa({
    directory: paths.localCa,
    permit: config.certificates.flatMap(({ identifiers }) => identifiers),
    publisherWarn: (line) => log.warn({ issuer: 'local-ca' }, line),
  });
}

/** The ACME server of that name; with `rehearse` the one that it is rehearsed against, with an account of its own. */
async function openAcme(surroundings: IssuerSurroundings, name: string, solverFor: SolverOpener): Promise<AcmeIssuer> {
  const { config, paths, ledger, clock, log } = surroundings;
  const configured = config.issuers[name];
  if (configured === undefined) throw unknownIssuer(name);
  const { openAcmeIssuer } = await import('../../issuers/acme/open.ts');
  const { rehearse } = configured;
  return openAcmeIssuer({
    config: rehearse === undefined ? configured : { ...configured, directory: rehearse },
    directory: join(paths.acme, rehearse === undefined ? name : `.rehearsal-${name}`),
    solver: () => solverFor(configured.challenge),
    clock,
    log,
    onUse(kind, subject) {
      if (rehearse === undefined) ledger.recordUse({ issuer: name, kind, subject, at: clock.now() });
    },
  });
}

function unknownIssuer(name: string): PodserveError {
  return new PodserveError('CONFIG_INVALID', `there is no issuer ${JSON.stringify(name)}`, {
    remedy: 'use local-ca, self-signed, letsencrypt, or one that issuers describes',
  });
}
