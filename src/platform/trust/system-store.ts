import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { PodserveError, describeError, systemCode } from '../errors.ts';
import { runProgram } from './program.ts';
import { bare, type TrustStore } from './store.ts';

/** How a family of distributions keeps the roots of the system. */
export interface SystemLayout {
  /** Where the administrator's own roots lie, one file each. */
  readonly anchors: string;
  readonly extension: '.crt' | '.pem';
  /** The bundle that programs read, made by the commands below. */
  readonly bundle: string;
  readonly afterAdding: readonly string[];
  readonly afterRemoving: readonly string[];
  readonly debianPackage: string;
}

export const DEBIAN: SystemLayout = {
  anchors: '/usr/local/share/ca-certificates',
  extension: '.crt',
  bundle: '/etc/ssl/certs/ca-certificates.crt',
  afterAdding: ['update-ca-certificates'],
  // Without --fresh the links to removed files stay.
  afterRemoving: ['update-ca-certificates', '--fresh'],
  debianPackage: 'ca-certificates',
};

/** Fedora, RHEL and their kin. */
export const RED_HAT: SystemLayout = {
  anchors: '/etc/pki/ca-trust/source/anchors',
  extension: '.pem',
  bundle: '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  afterAdding: ['update-ca-trust', 'extract'],
  afterRemoving: ['update-ca-trust', 'extract'],
  debianPackage: 'ca-certificates',
};

const OUR_FILE = /^podserve-local-ca-[0-9a-f]{16}\.(?:crt|pem)$/;

/** The roots that curl, Python, Postfix and most other programs of the system trust. */
export function systemStore(layout: SystemLayout, path: string): TrustStore {
  const label = `system store (${layout.anchors})`;

  async function attempt(work: () => void, [program = '', ...args]: readonly string[]): Promise<void> {
    try {
      work();
      await runProgram(program, args, { path, debianPackage: layout.debianPackage });
    } catch (cause) {
      const denied = ['EACCES', 'EPERM'].includes(systemCode(cause) ?? '');
      throw new PodserveError('TRUST_STORE_FAILED', `the roots in the ${label} could not be changed`, {
        why: denied ? 'only root may change it' : describeError(cause),
        ...(denied ? { remedy: 'run the same command with sudo and --store system' } : {}),
        cause,
      });
    }
  }

  return {
    kind: 'system',
    label,
    path: layout.anchors,
    async held() {
      if (!existsSync(layout.anchors)) return [];
      const files = readdirSync(layout.anchors).filter((file) => OUR_FILE.test(file));
      const bundle = files.length > 0 && existsSync(layout.bundle) ? bare(readFileSync(layout.bundle, 'latin1')) : '';
      return files.map((name) => {
        const pem = readFileSync(join(layout.anchors, name), 'latin1');
        return { name, pem, trusted: bundle.includes(bare(pem)) };
      });
    },
    add: (anchors) =>
      attempt(() => {
        mkdirSync(layout.anchors, { recursive: true });
        for (const { fingerprint, pem } of anchors) {
          const file = join(layout.anchors, `podserve-local-ca-${fingerprint.slice(0, 16)}${layout.extension}`);
          writeFileSync(`${file}.new`, pem, { mode: 0o644 });
          renameSync(`${file}.new`, file);
        }
      }, layout.afterAdding),
    remove: (held) =>
      attempt(() => {
        for (const { name } of held) rmSync(join(layout.anchors, name), { force: true });
      }, layout.afterRemoving),
  };
}
