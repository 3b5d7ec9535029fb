import { relative } from 'node:path';

import type { AcmeIssuerConfig } from '../../config/config.ts';
import { loadConfig, type LoadOptions } from '../../config/load.ts';
import type { StatePaths } from '../../config/state.ts';
import { PodserveError, describeError } from '../../platform/errors.ts';

/**
 * What a restored server would lack: files of ACME issuers that the configuration names and the archive does not hold.
 * A configuration that is wrong is no reason to have no backup.
 */
export async function filesLeftOut(options: LoadOptions, paths: StatePaths): Promise<string[]> {
  try {
    const { issuers } = await loadConfig(options);
    const missing = Object.values(issuers)
      .flatMap(filesOf)
      .filter(([, file]) => file.includes('/') && !isInside(paths.authority, file) && !isInside(paths.certificates, file));
    if (missing.length === 0) return [];
    const listed = missing.map(([key, file]) => `${file} (${key})`).join(', ');
    return [`files that the configuration names are not in the backup, and a restored server needs them: ${listed}`];
  } catch (error) {
    if (!(error instanceof PodserveError)) throw error;
    return [`the configuration is in the backup as it is: ${describeError(error)}`];
  }
}

function filesOf({ name, caFile, eab, challenge }: AcmeIssuerConfig): [key: string, file: string][] {
  const all: [key: string, file: string | undefined][] = [
    ['caFile', caFile],
    ['eab.hmacFile', eab?.hmacFile],
    ['dns01.tsigKeyFile', challenge.via === 'update' ? challenge.tsigKeyFile : undefined],
    ['dns01.exec', challenge.via === 'exec' ? challenge.exec : undefined],
  ];
  return all.flatMap(([key, file]) => (file === undefined ? [] : [[`issuers.${name}.${key}`, file]]));
}

function isInside(directory: string, file: string): boolean {
  const inside = relative(directory, file);
  return inside !== '..' && !inside.startsWith('../');
}
