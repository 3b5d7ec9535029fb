import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

import { combinedPem, fullchainPem, identifiersOf, leafSha256, parseBundle, type Bundle } from '../../certificate/bundle.ts';
import { generationDirectory, generationNumber } from '../../certificate/generation.ts';
import type { Identifier } from '../../certificate/identifier.ts';
import { PodserveError, messageOf, systemCode } from '../../platform/errors.ts';
import { readBounded, temporaryName } from '../../platform/files.ts';
import { datesOf } from '../consumer/check.ts';
import type { Hold } from '../consumer/hold.ts';
import type { HeldCertificate } from '../service.ts';

/** The copy that a daemon of others reads: it outlives the process that keeps it. */
export interface Copy extends Hold {
  /** Absolute path of the directory. */
  readonly directory: string;
  /** What the held certificate speaks for. */
  identifiers(): readonly Identifier[];
}

export interface CopyOptions {
  /** The certificate's name. */
  readonly name: string;
  /** Group that may read the keys; undefined: their owner alone. */
  readonly gid: number | undefined;
}

const CURRENT = '..data';
/** The generation that was last seen served everywhere. */
const GOOD = '..good';
const FILES = ['combined.pem', 'privkey.pem', 'fullchain.pem', 'cert.pem', 'chain.pem'] as const;
const OURS = /^\.\.gen-\d{6,}-[A-Za-z0-9]{6}$/;
const LARGEST_FILE = 1024 * 1024;

type FileName = (typeof FILES)[number];

interface Entry {
  readonly target: string;
  readonly certificate: HeldCertificate;
  readonly identifiers: readonly Identifier[];
}

/**
 * Opens the directory of copies of one certificate. It is laid out as the publication is: the plain names lead through
 * `..data` to one directory with a checked generation, and a switch is the rename of that one link, so that a daemon
 * that reads at this moment, started by whomever, finds a key and a certificate that match. Rejected: a rename for
 * each file, between two of which such a daemon would die. `..good` leads to what was last seen served: with it a
 * process that is killed in the middle is followed by one that knows where to go back to.
 * @throws PodserveError FILE_UNWRITABLE when something of somebody else's lies there, or it cannot be written
 */
export function openCopy(directory: string, { name, gid }: CopyOptions): Copy {
  const certificates = new Map<string, HeldCertificate>();
  let current: Entry | undefined;
  let former: Entry | undefined;
  let mark = '';

  function set(entry: Entry | undefined): void {
    current = entry;
    certificates.clear();
    if (entry !== undefined) certificates.set(name, entry.certificate);
    mark = markOf(directory);
  }

  function entryOf(target: string, bundle: Bundle): Entry {
    const [, base = ''] = /^(\.\.gen-\d+)-/.exec(target) ?? [];
    const generation = generationNumber(base) ?? 0;
    const file = join(directory, 'combined.pem');
    const certificate = { name, generation, file, leafSha256: leafSha256(bundle.leaf), ...datesOf(bundle) };
    return { target, certificate, identifiers: identifiersOf(bundle.leaf) };
  }

  /** What a process before us left, if it is whole: what was seen served, else what was put there. */
  function adopt(): void {
    for (const link of [GOOD, CURRENT]) {
      const target = targetOf(join(directory, link));
      const bundle = target === undefined ? undefined : readWhole(join(directory, target));
      if (target === undefined || bundle === undefined) continue;
      settle(join(directory, target), gid);
      if (targetOf(join(directory, CURRENT)) !== target) lead(CURRENT, target);
      linkPlainNames();
      return set(entryOf(target, bundle));
    }
  }

  function lead(link: string, target: string): void {
    const temporary = temporaryName(join(directory, link));
    symlinkSync(target, temporary);
    renameSync(temporary, join(directory, link));
    syncNow(directory);
  }

  function linkPlainNames(): void {
    for (const file of FILES) {
      if (targetOf(join(directory, file)) !== plainTarget(file)) lead(file, plainTarget(file));
    }
  }

  /** Removes what nothing leads to any more. */
  function tidy(): void {
    const kept = new Set([targetOf(join(directory, CURRENT)), targetOf(join(directory, GOOD)), current?.target, former?.target]);
    for (const entry of readdirSync(directory)) {
      const stray = OURS.test(entry) ? !kept.has(entry) : /^(?:\.\.data|\.\.good|[a-z]+\.pem)\.tmp-[0-9a-f]{12}$/.test(entry);
      if (stray) rmSync(join(directory, entry), { recursive: true, force: true });
    }
  }

  function failing<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (cause instanceof PodserveError) throw cause;
      throw new PodserveError('FILE_UNWRITABLE', 'the copy for the daemon cannot be written', {
        where: directory,
        why: systemCode(cause) ?? messageOf(cause),
        remedy: REMEDIES[systemCode(cause) ?? ''] ?? 'make it writable for this user, or give another with --copy-to DIR',
        cause,
      });
    }
  }

  failing(() => {
    refuseForeign(directory);
    adopt();
    tidy();
  });

  return {
    directory,
    certificates,
    identifiers: () => current?.identifiers ?? [],
    put(_, { number, bundle }) {
      return failing(() => {
        tidy();
        const target = stage(directory, number, bundle, gid);
        const entry = entryOf(target, bundle);
        former = current;
        lead(CURRENT, target);
        linkPlainNames();
        set(entry);
        return entry.certificate;
      });
    },
    back() {
      failing(() => {
        if (former === undefined) rmSync(join(directory, CURRENT), { force: true });
        else lead(CURRENT, former.target);
        set(former);
        if (former === undefined) adopt();
        former = undefined;
      });
    },
    confirm() {
      if (current === undefined || targetOf(join(directory, GOOD)) === current.target) return;
      const { target } = current;
      failing(() => lead(GOOD, target));
    },
    drop() {
      set(undefined);
    },
    intact: () => current !== undefined && mark === markOf(directory),
  };
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'free space there; what was copied before stays',
  EPERM: 'run as root, or as a member of the group given with --group',
};

function plainTarget(file: FileName): string {
  return `${CURRENT}/${file}`;
}

function filesOf(bundle: Bundle): Record<FileName, string> {
  return {
    'combined.pem': combinedPem(bundle),
    'privkey.pem': bundle.privateKeyPem,
    'fullchain.pem': fullchainPem(bundle),
    'cert.pem': bundle.leafPem,
    'chain.pem': bundle.chainPem,
  };
}

/** Writes a generation beside the others, closed to everybody else until its modes are as they shall be. Returns its name. */
function stage(directory: string, number: number, bundle: Bundle, gid: number | undefined): string {
  const path = mkdtempSync(join(directory, `${generationDirectory(number)}-`));
  try {
    for (const [file, text] of Object.entries(filesOf(bundle))) write(join(path, file), text);
    settle(path, gid);
    syncNow(path);
    return path.slice(directory.length + 1);
  } catch (error) {
    rmSync(path, { recursive: true, force: true });
    throw error;
  }
}

/** Sets modes and group: certificates for everybody, keys for owner and group. */
function settle(path: string, gid: number | undefined): void {
  for (const file of FILES) {
    const secret = file === 'privkey.pem' || file === 'combined.pem';
    if (secret) chmodSync(join(path, file), 0o600);
    if (secret && gid !== undefined) chownSync(join(path, file), -1, gid);
    chmodSync(join(path, file), secret ? (gid === undefined ? 0o600 : 0o640) : 0o644);
  }
  chmodSync(path, 0o755);
}

function write(file: string, text: string): void {
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function syncNow(directory: string): void {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The bundle of a directory whose files all say the same; undefined where one is missing, cut off or another's. */
function readWhole(path: string): Bundle | undefined {
  try {
    const texts = new Map(FILES.map((file) => [file, textOf(join(path, file))]));
    const bundle = parseBundle(texts.get('privkey.pem') ?? '', texts.get('fullchain.pem') ?? '');
    return Object.entries(filesOf(bundle)).every(([file, text]) => texts.get(file as FileName) === text) ? bundle : undefined;
  } catch {
    return undefined;
  }
}

function textOf(file: string): string {
  const read = readBounded(file, LARGEST_FILE);
  return 'text' in read ? read.text : '';
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}

/** Links and files as they are now, told from any other. */
function markOf(directory: string): string {
  const target = targetOf(join(directory, CURRENT)) ?? '';
  const parts = FILES.flatMap((file) => {
    const stat = lstatSync(join(directory, target, file), { bigint: true, throwIfNoEntry: false });
    return [targetOf(join(directory, file)), stat?.ino, stat?.size, stat?.mtimeNs];
  });
  return [target, ...parts].join(':');
}

/** A file under one of our names that we did not make is somebody's only copy of it, perhaps. */
function refuseForeign(directory: string): void {
  for (const entry of [CURRENT, GOOD, ...FILES]) {
    const stat = lstatSync(join(directory, entry), { throwIfNoEntry: false });
    const target = targetOf(join(directory, entry));
    const ours = target !== undefined && (OURS.test(target) || target === `${CURRENT}/${entry}`);
    if (stat === undefined || ours) continue;
    throw new PodserveError('FILE_UNWRITABLE', 'there is a file already where the copy belongs', {
      where: join(directory, entry),
      why: 'podserve consume did not put it there',
      remedy: 'move it away, or give another directory with --copy-to DIR',
    });
  }
}
