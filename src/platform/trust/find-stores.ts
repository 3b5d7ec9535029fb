import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { nssStore } from './nss-store.ts';
import { installed } from './program.ts';
import type { TrustStore } from './store.ts';
import { DEBIAN, RED_HAT, systemStore } from './system-store.ts';

const CHROMIUM_PROGRAMS = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'brave-browser',
  'microsoft-edge',
  'vivaldi',
] as const;

/** Below the home directory; the first is the one that Chromium makes and all its kin share. */
const CHROMIUM_DATABASES = ['.pki/nssdb', 'snap/chromium/current/.pki/nssdb'] as const;

/** Directories of profiles below the home directory: Debian's, the newer place, snap, flatpak. */
const FIREFOX_PROFILES = [
  '.mozilla/firefox',
  '.config/mozilla/firefox',
  'snap/firefox/common/.mozilla/firefox',
  '.var/app/org.mozilla.firefox/.mozilla/firefox',
] as const;

/**
 * The stores of this machine and of the user whose home directory it is. Chromium's is among them before its first
 * start too, where Chromium is installed: it takes what it then finds.
 * @param path as `searchPath` gives it
 */
export function findStores(home: string | undefined, path: string): TrustStore[] {
  const system = [RED_HAT, DEBIAN].find(({ anchors }) => existsSync(anchors));
  const stores = system === undefined ? [] : [systemStore(system, path)];
  return home === undefined ? stores : [...stores, ...chromiumStores(home, path), ...firefoxStores(home, path)];
}

function chromiumStores(home: string, path: string): TrustStore[] {
  const [usual] = CHROMIUM_DATABASES;
  return CHROMIUM_DATABASES.filter(
    (database) => existsSync(join(home, database, 'cert9.db')) || (database === usual && installed(path, ...CHROMIUM_PROGRAMS)),
  ).map((database) => nssStore({ kind: 'chromium', browser: 'Chromium', directory: join(home, database), path }));
}

function firefoxStores(home: string, path: string): TrustStore[] {
  const profiles = FIREFOX_PROFILES.flatMap((place) => entries(join(home, place)));
  return profiles
    .filter((profile) => existsSync(join(profile, 'cert9.db')))
    .map((directory) => nssStore({ kind: 'firefox', browser: 'Firefox', directory, path }));
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory).map((name) => join(directory, name));
  } catch {
    // Not there, or not ours to look into: then it is no store of this user.
    return [];
  }
}
