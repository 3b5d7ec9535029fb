import { isAbsolute } from 'node:path';

import { PodserveError } from '../../platform/errors.ts';

/** Where the shipped files of deploy/ keep everything (DESIGN §4). */
export const SHIPPED_DATA_DIRECTORY = '/var/lib/podserve';

const HOST_PATH = new RegExp(String.raw`^(\s*(?:- )?path: )${SHIPPED_DATA_DIRECTORY}(/[\w/-]+)?$`, 'gm');

/**
 * A file of deploy/ for another data directory: only its host paths change. Text and not YAML is rewritten, so that
 * what is played is what can be read in the repository, comments included.
 * @param dataDirectory absolute: podman resolves a relative path against wherever it was started
 * @throws PodserveError USAGE for a relative directory
 */
export function renderDeploy(text: string, dataDirectory: string): string {
  if (!isAbsolute(dataDirectory)) {
    throw new PodserveError('USAGE', 'the data directory of pods must be an absolute path', { where: dataDirectory });
  }
  const base = dataDirectory.replace(/\/+$/, '');
  return text.replaceAll(HOST_PATH, (_line, before: string, below = '') => `${before}${scalar(`${base}${below}` || '/')}`);
}

/** Plain where YAML reads it back as it is, else quoted: JSON's strings are YAML's. */
function scalar(path: string): string {
  return /^[\w/.+@-]+$/.test(path) ? path : JSON.stringify(path);
}
