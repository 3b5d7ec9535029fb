import type { Config } from '../../config/config.ts';
import type { StatePaths } from '../../config/state.ts';
import type { Issuer } from '../../issuers/issuer.ts';
import type { LocalCa } from '../../issuers/local-ca/local-ca.ts';
import { PodserveError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import type { Issuers } from './service.ts';

/** The issuers of this version by name. Each is loaded and opened when it is first asked for. */
export function configuredIssuers(config: Config, paths: StatePaths, log: Log): Issuers {
  let opened: Promise<LocalCa> | undefined;
  const localCa = (): Promise<LocalCa> => {
    opened ??= openCa(config, paths, log);
    return opened;
  };
  return {
    localCa,
    async named(name): Promise<Issuer> {
      if (name === 'local-ca') return localCa();
      if (name === 'self-signed') {
        const { selfSigned } = await import('../../issuers/self-signed.ts');
        return selfSigned();
      }
      throw new PodserveError('CONFIG_INVALID', `there is no issuer ${JSON.stringify(name)}`, { remedy: 'use local-ca or self-signed' });
    },
  };
}

async function openCa(config: Config, paths: StatePaths, log: Log): Promise<LocalCa> {
  const { openLocalCa } = await import('../../issuers/local-ca/local-ca.ts');
  return openLocalCa({
    directory: paths.localCa,
    permit: config.certificates.flatMap(({ identifiers }) => identifiers),
    publisherWarn: (line) => log.warn({ issuer: 'local-ca' }, line),
  });
}
