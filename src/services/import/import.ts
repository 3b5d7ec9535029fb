import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { identifiersOf, leafSha256, uncovered } from '../../certificate/bundle.ts';
import type { Publisher } from '../../certificate/generation.ts';
import { displayIdentifier } from '../../certificate/identifier.ts';
import type { Config } from '../../config/config.ts';
import type { StatePaths } from '../../config/state.ts';
import { peekLedger } from '../../ledger/open.ts';
import { SECOND } from '../../platform/clock.ts';
import { PodserveError, describeError } from '../../platform/errors.ts';
import { adopt } from '../../publication/adopt.ts';
import { issuerName } from '../../publication/hand-made.ts';
import { lockPublication, type PublicationLock } from '../../publication/lock.ts';
import { publish } from '../../publication/publish.ts';
import type { Generation } from '../../publication/read.ts';
import { survey } from '../certificates/survey.ts';
import { assign, type Assignment } from './assign.ts';
import { readCertbot, type Lineage } from './certbot.ts';
import { renewersOf, type Renewer } from './renewers.ts';

export interface ImportOptions {
  /** Such as `/etc/letsencrypt`. */
  readonly directory: string;
  readonly config: Config;
  readonly paths: StatePaths;
  readonly publisher: Publisher;
  /** ms since the epoch */
  readonly now: number;
  /** Replace a certificate that lives longer, too. */
  readonly force: boolean;
  /** Say what would be done. */
  readonly dryRun: boolean;
  /** Something else was found there: to have no lineage is no mistake. */
  readonly mayBeEmpty: boolean;
  readonly signal: AbortSignal;
}

/** What became of one lineage at one certificate. */
export interface Imported {
  readonly lineage: string;
  /** The certificate that it belongs to; undefined when it goes nowhere. */
  readonly certificate: string | undefined;
  readonly configured: boolean;
  /** Who is to renew it; undefined where it goes nowhere, or nobody that can be configured. */
  readonly renewer: Renewer | undefined;
  readonly outcome: 'imported' | 'planned' | 'unchanged' | 'kept' | 'skipped' | 'failed';
  /** One line: what is so, and why. */
  readonly detail: string;
  readonly generation: number | undefined;
  /** As people write them; empty for a lineage that cannot be read. */
  readonly names: readonly string[];
  /** ISO 8601; undefined for a lineage that cannot be read. */
  readonly notAfter: string | undefined;
  readonly warnings: readonly string[];
}

const LOCK_WAIT = 10 * SECOND;

/**
 * Publishes the certificates of a certbot as generations of origin `imported`, and changes nothing in its directory.
 * Doing it again does nothing; something that lives longer stays unless forced.
 * @throws PodserveError USAGE, IMPORT_FAILED, PUBLICATION_LOCKED, PUBLICATION_UNWRITABLE
 */
export async function importCertbot(options: ImportOptions): Promise<Imported[]> {
  const { directory, config, now } = options;
  if (options.mayBeEmpty && !existsSync(join(directory, 'live'))) return [];
  const { lineages, broken } = await readCertbot(directory);
  if (lineages.length === 0 && broken.length === 0) {
    if (options.mayBeEmpty) return [];
    throw new PodserveError('IMPORT_FAILED', 'there is nothing to import', { where: directory, why: 'live/ holds no lineage' });
  }
  const candidates = lineages.map(({ name, bundle: { leaf } }) => ({
    lineage: name,
    identifiers: identifiersOf(leaf),
    notBefore: leaf.validFromDate.getTime(),
    notAfter: leaf.validToDate.getTime(),
  }));
  const byName = new Map(lineages.map((lineage) => [lineage.name, lineage]));
  const { assignments, unassigned } = assign(candidates, config.certificates, now);
  const results: Imported[] = [
    ...broken.map(({ name, file, why }) => nowhere(name, undefined, 'failed', `${file}: ${why}`)),
    ...unassigned.map(({ lineage, why }) => nowhere(lineage, byName.get(lineage), 'skipped', why)),
  ];
  if (assignments.length > 0) {
    const renewerOf = renewersOf(directory, config);
    await using lock = options.dryRun ? undefined : await takeLock(options);
    for (const assignment of assignments) {
      options.signal.throwIfAborted();
      const lineage = byName.get(assignment.lineage);
      if (lineage !== undefined) results.push(await place(options, lock, { ...assignment, renewer: renewerOf(lineage.name) }, lineage));
    }
  }
  return results.sort((a, b) => (a.lineage < b.lineage ? -1 : Number(a.lineage > b.lineage)));
}

function takeLock({ paths, publisher, signal }: ImportOptions): Promise<PublicationLock> {
  return lockPublication(paths.certificates, { publisher, waitMs: LOCK_WAIT, signal });
}

/** Never throws for what concerns this certificate alone. Without a lock it only says what would be done. */
async function place(
  options: ImportOptions,
  lock: PublicationLock | undefined,
  assignment: Assignment & Pick<Imported, 'renewer'>,
  lineage: Lineage,
): Promise<Imported> {
  const { paths, config, publisher, now } = options;
  const { renewer } = assignment;
  const about = { ...describeLineage(lineage), certificate: assignment.name, configured: assignment.spec !== undefined, renewer };
  try {
    let { generation } = await survey(paths.certificates, assignment.name);
    let warnings: readonly string[] = [];
    if (generation === undefined && lock !== undefined) {
      const adoption = await adopt(lock, assignment.name, { now, keyGid: config.keyGid, publisher });
      warnings = adoption.warnings;
      if (adoption.manifest !== undefined) ({ generation } = await survey(paths.certificates, assignment.name));
    }
    const reason = reasonToKeep(generation, lineage, assignment, options);
    if (reason !== undefined) return { ...about, ...reason, generation: generation?.number, warnings };
    const issuer = issuerName(lineage.bundle.leaf);
    if (lock === undefined) {
      return { ...about, outcome: 'planned', detail: `it would be imported, signed by ${issuer}`, generation: undefined, warnings };
    }
    const { bundle } = lineage;
    const provenance = { name: assignment.name, issuer, origin: 'imported', placeholder: false, now, publisher } as const;
    const { manifest, warnings: more } = await publish(lock, { ...provenance, bundle, keyGid: config.keyGid });
    const detail = `imported as generation ${manifest.generation}, signed by ${issuer}`;
    record(options, assignment.name, manifest.generation, `lineage ${lineage.name} of ${options.directory} ${detail}`);
    return { ...about, outcome: 'imported', detail, generation: manifest.generation, warnings: [...warnings, ...more] };
  } catch (error) {
    return { ...about, outcome: 'failed', detail: describeError(error), generation: undefined, warnings: [] };
  }
}

/** Why what is published stays, or undefined. */
function reasonToKeep(
  current: Generation | undefined,
  { bundle }: Lineage,
  { spec }: Assignment,
  { now, force }: ImportOptions,
): Pick<Imported, 'outcome' | 'detail'> | undefined {
  if (current === undefined) return undefined;
  const { leaf } = current.bundle;
  if (leafSha256(leaf) === leafSha256(bundle.leaf)) {
    return { outcome: 'unchanged', detail: `generation ${current.number} is this certificate already` };
  }
  const [from, to] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()];
  const whole = spec === undefined || uncovered(leaf, spec.identifiers).length === 0;
  const better = !current.manifest.placeholder && whole && from <= now && to > bundle.leaf.validToDate.getTime();
  if (force || !better) return undefined;
  const detail = `generation ${current.number} of ${current.manifest.issuer} lives longer, to ${leaf.validToDate.toISOString()}; --force replaces it`;
  return { outcome: 'kept', detail };
}

/** History where there is a ledger; a new one is filled from the publication anyway. */
function record({ paths, now }: ImportOptions, certificate: string, generation: number, detail: string): void {
  try {
    using ledger = peekLedger(paths.ledger);
    ledger?.record({ at: now, certificate, kind: 'imported', reason: 'import', detail, generation });
  } catch {
    // What is on record matters less than what is published.
  }
}

function describeLineage({ name, bundle: { leaf } }: Lineage): Pick<Imported, 'lineage' | 'names' | 'notAfter'> {
  return { lineage: name, names: identifiersOf(leaf).map(displayIdentifier), notAfter: leaf.validToDate.toISOString() };
}

function nowhere(name: string, lineage: Lineage | undefined, outcome: 'skipped' | 'failed', detail: string): Imported {
  const about = lineage === undefined ? { lineage: name, names: [], notAfter: undefined } : describeLineage(lineage);
  return { ...about, certificate: undefined, configured: false, renewer: undefined, outcome, detail, generation: undefined, warnings: [] };
}
