import { join } from 'node:path';

import type { Config } from '../../config/config.ts';
import { nameOfDirectory } from '../../config/issuer-names.ts';
import { WELL_KNOWN } from '../../config/well-known.ts';
import { LOCAL_ISSUERS } from '../../certificate/spec.ts';
import { readBounded } from '../../platform/files.ts';
import { issuersFor, serverPath } from './accounts.ts';
import { freeName } from './assign.ts';

/** The issuer that goes on renewing a lineage, in the words of podserve.yaml. */
export interface Renewer {
  readonly name: string;
  /** Where podserve.yaml has no such issuer yet, and it is not built in either. */
  readonly missing: { readonly directory: string } | undefined;
}

const LARGEST_FILE = 64 * 1024;
/** What certbot takes where a lineage names none, or the server that it had before RFC 8555. */
const OF_CERTBOT = WELL_KNOWN.letsencrypt;
const BEFORE_RFC_8555 = 'https://acme-v01.api.letsencrypt.org/directory';

/**
 * Finds who renews a lineage: the issuer with the directory that certbot renews it with (`server` in
 * renewal/NAME.conf). Undefined where that is no server that can be configured.
 * @param directory such as `/etc/letsencrypt`
 */
export function renewersOf(directory: string, config: Config): (lineage: string) => Renewer | undefined {
  const missing = new Map<string, string>();
  return (lineage) => {
    const url = URL.parse(serverOf(join(directory, 'renewal', `${lineage}.conf`)));
    if (url === null || url.protocol !== 'https:' || url.username !== '' || url.password !== '' || url.hash !== '') return undefined;
    const [issuer] = issuersFor(serverPath(url.href), config);
    if (issuer !== undefined) return { name: issuer.name, missing: undefined };
    let name = missing.get(url.href);
    if (name === undefined) {
      const taken = [...LOCAL_ISSUERS, ...Object.keys(config.issuers), ...Object.keys(WELL_KNOWN), ...missing.values()];
      name = freeName(nameOfDirectory(url), new Set(taken));
      missing.set(url.href, name);
    }
    return { name, missing: { directory: url.href } };
  };
}

function serverOf(file: string): string {
  const server = /^\s*server\s*=\s*(\S+)\s*$/m.exec(textOf(file))?.[1];
  return server === undefined || server === BEFORE_RFC_8555 ? OF_CERTBOT : server;
}

function textOf(file: string): string {
  try {
    const found = readBounded(file, LARGEST_FILE);
    return 'text' in found ? found.text : '';
  } catch {
    return '';
  }
}
