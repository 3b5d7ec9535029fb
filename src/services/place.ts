import { parseListen } from '../config/listen.ts';
import { PodserveError } from '../platform/errors.ts';
import type { Place } from '../platform/ports.ts';

/**
 * Where a server of the configuration listens.
 * @param setting where the configuration says so, e.g. `admin.listen`
 * @throws PodserveError CONFIG_INVALID
 */
export function placeOf(listen: string, setting: string): Place {
  const place = parseListen(listen);
  if (place === undefined) throw new PodserveError('CONFIG_INVALID', 'this is no place to listen', { where: setting, why: listen });
  return { ...place, setting };
}
