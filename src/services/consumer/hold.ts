import { closeSync, linkSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { combinedPem, leafSha256 } from '../../certificate/bundle.ts';
import { systemCode } from '../../platform/errors.ts';
import type { Generation } from '../../publication/read.ts';
import type { HeldCertificate, HeldCertificates } from '../service.ts';
import { datesOf } from './check.ts';

/** The checked copies: what daemons read, and what was last known to work. */
export interface Hold {
  readonly certificates: HeldCertificates;
  /** Copies a checked generation by rename; what was there before is kept, for `back`. */
  put(name: string, generation: Generation): HeldCertificate;
  /** Undoes the last `put` of a name: what was there before is there again, or nothing. */
  back(name: string): void;
  /** What is there for a name was seen served everywhere: a copy that outlives the process takes note of it. */
  confirm(name: string): void;
  /** Forgets a name and removes its files, or lets the next `put` replace them. */
  drop(name: string): void;
  /** Whether the file is still as it was written: a daemon that reads it now finds what was checked. */
  intact(name: string): boolean;
}

interface Entry {
  readonly certificate: HeldCertificate;
  readonly mark: string;
}

/**
 * Copies that end with the process: `<name>.pem` in a runtime directory, and what was there before as `<name>.previous.pem`.
 * @param directory exists, belongs to us alone and is empty
 */
export function openHold(directory: string): Hold {
  const entries = new Map<string, Entry>();
  const previous = new Map<string, Entry>();
  const certificates = new Map<string, HeldCertificate>();

  const set = (name: string, entry: Entry | undefined): void => {
    if (entry === undefined) {
      entries.delete(name);
      certificates.delete(name);
    } else {
      entries.set(name, entry);
      certificates.set(name, entry.certificate);
    }
  };
  const fileOf = (name: string): string => join(directory, `${name}.pem`);
  const previousOf = (name: string): string => join(directory, `${name}.previous.pem`);

  return {
    certificates,
    put(name, { number, bundle }) {
      const file = fileOf(name);
      const former = entries.get(name);
      // Linked, not renamed: a daemon that starts again by itself at this moment must find the file.
      if (former !== undefined) replace(previousOf(name), (temporary) => linkAnew(file, temporary));
      replace(file, (temporary) => writeSecret(temporary, combinedPem(bundle)));
      if (former === undefined) previous.delete(name);
      else previous.set(name, former);
      const certificate = { name, generation: number, file, leafSha256: leafSha256(bundle.leaf), ...datesOf(bundle) };
      set(name, { certificate, mark: markOf(file) ?? '' });
      return certificate;
    },
    back(name) {
      const former = previous.get(name);
      previous.delete(name);
      if (former === undefined) rmSync(fileOf(name), { force: true });
      else renameSync(previousOf(name), fileOf(name));
      set(name, former);
    },
    confirm: () => undefined,
    drop(name) {
      previous.delete(name);
      set(name, undefined);
      rmSync(fileOf(name), { force: true });
      rmSync(previousOf(name), { force: true });
    },
    intact(name) {
      const entry = entries.get(name);
      return entry !== undefined && markOf(entry.certificate.file) === entry.mark;
    },
  };
}

function replace(file: string, make: (temporary: string) => void): void {
  const temporary = `${file}.new`;
  make(temporary);
  renameSync(temporary, file);
}

function linkAnew(file: string, link: string): void {
  try {
    linkSync(file, link);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    rmSync(link);
    linkSync(file, link);
  }
}

function writeSecret(file: string, text: string): void {
  const fd = openSync(file, 'w', 0o600);
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** Inode, size and time of change of the content. */
function markOf(file: string): string | undefined {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.ino}:${stat.size}:${stat.mtimeNs}`;
}
