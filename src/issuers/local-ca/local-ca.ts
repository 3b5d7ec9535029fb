import type { Identifier } from '../../certificate/identifier.ts';
import { DAY } from '../../platform/clock.ts';
import { PodserveError } from '../../platform/errors.ts';
import { newKeyPair } from '../../x509/key.ts';
import type { Issuer } from '../issuer.ts';
import { LONGEST_LEAF_LIFETIME, leafValidity, signLeaf } from '../leaf.ts';
import { announcedRoot, chooseRoot, rootNeeded, rootsToTrust } from './choose-root.ts';
import { constraintsFor } from './constraints.ts';
import { readRootFiles, storedRoot, tidyRootFiles, writeRootFile, type RootFiles, type StoredRoot } from './root-files.ts';
import { newRoot, type Root } from './root.ts';

export interface LocalCaOptions {
  /** `authority/local-ca` of the state directory. Made when the first root is. */
  readonly directory: string;
  /** All configured identifiers: a new root permits them. */
  readonly permit: readonly Identifier[];
  /** Told of damaged root files, one line each. */
  readonly publisherWarn?: (line: string) => void;
}

/** The built-in CA. Whoever calls `prepare` or `issue` holds the publication lock. */
export interface LocalCa extends Issuer {
  readonly name: 'local-ca';
  /**
   * Makes the first or next root where these identifiers need one, sets damaged root files aside, and takes in what
   * other processes did. `ca.pem` is to be published before the next leaf.
   * @throws PodserveError AUTHORITY_UNREADABLE, AUTHORITY_UNWRITABLE
   */
  prepare(now: number, identifiers: readonly Identifier[]): Promise<RootsState>;
  /** Whether `prepare` would make a root. Changes nothing. @throws PodserveError AUTHORITY_UNREADABLE */
  needsRoot(now: number, identifiers: readonly Identifier[]): Promise<boolean>;
  /** The state as the files have it now; changes nothing. @throws PodserveError AUTHORITY_UNREADABLE */
  roots(now: number): Promise<RootsState>;
}

export interface RootsState {
  /** All that are to be trusted, oldest first. */
  readonly roots: readonly Root[];
  /** The one that signs for all configured identifiers, where one root does. */
  readonly signing: Root | undefined;
  /** A successor that is shown but signs only from its `signsFrom` on. */
  readonly announced: Root | undefined;
  /** What `ca.pem` holds: `roots`, one PEM block each. */
  readonly pem: string;
}

/** What a leaf usually lives: to say which root signs, where it depends on that. */
const USUAL_LEAF_LIFETIME = 90 * DAY;

/** Opens the CA without touching the disk: the first call that needs the roots reads them. */
export function openLocalCa({ directory, permit, publisherWarn = () => undefined }: LocalCaOptions): LocalCa {
  let held: readonly StoredRoot[] | undefined;
  let making: Promise<unknown> = Promise.resolve();

  function read(): RootFiles {
    const files = readRootFiles(directory);
    held = files.stored;
    return files;
  }

  async function prepare(now: number, identifiers: readonly Identifier[]): Promise<RootsState> {
    const files = read();
    tidyRootFiles(directory, files, now, publisherWarn);
    if (rootNeeded(rootsOf(files.stored), identifiers, now) === undefined) return stateOf(files.stored, permit, now);
    const { root, key } = await newRoot(files.nextNumber, constraintsFor([...permit, ...identifiers]), now);
    writeRootFile(directory, root, key);
    held = [...files.stored, storedRoot(root, key)];
    return stateOf(held, permit, now);
  }

  /** One after the other: two leaves that need the same new root get one root. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = making.then(work);
    making = turn.catch(() => undefined);
    return turn;
  }

  function signerOf(identifiers: readonly Identifier[], now: number, lifetime: number): StoredRoot | undefined {
    const chosen = chooseRoot(rootsOf(held ?? read().stored), identifiers, now, lifetime);
    return held?.find(({ root }) => root.fingerprint256 === chosen?.fingerprint256);
  }

  return {
    name: 'local-ca',
    prepare: (now, identifiers) => inTurn(() => prepare(now, identifiers)),
    needsRoot: (now, identifiers) => inTurn(async () => rootNeeded(rootsOf(read().stored), identifiers, now) !== undefined),
    roots: (now) => inTurn(async () => stateOf(read().stored, permit, now)),
    async issue({ identifiers, keyType, ...spec }, { now, lifetime = spec.lifetime, signal }) {
      signal?.throwIfAborted();
      const life = Math.min(lifetime, LONGEST_LEAF_LIFETIME);
      if (signerOf(identifiers, now, life) === undefined) await inTurn(() => prepare(now, identifiers));
      const by = signerOf(identifiers, now, life);
      if (by?.authority === undefined) throw cannotSign(spec.name, directory);
      return signLeaf(identifiers, await newKeyPair(keyType), leafValidity(now, life, by.root), by.authority);
    },
  };
}

function stateOf(stored: readonly StoredRoot[], permit: readonly Identifier[], now: number): RootsState {
  const all = rootsOf(stored);
  const roots = rootsToTrust(all, now);
  const signing = chooseRoot(all, permit, now, USUAL_LEAF_LIFETIME);
  return { roots, signing, announced: announcedRoot(all, permit, now, signing), pem: roots.map(({ pem }) => pem).join('') };
}

function rootsOf(stored: readonly StoredRoot[]): Root[] {
  return stored.map(({ root }) => root);
}

function cannotSign(name: string, directory: string): PodserveError {
  return new PodserveError('ISSUE_FAILED', `the built-in CA could not sign the certificate ${name}`, {
    where: directory,
    why: 'it has no root that permits these names and outlives the certificate',
    remedy: 'see that the clock is right, then run it again',
  });
}
