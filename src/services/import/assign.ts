import { createHash } from 'node:crypto';

import { covers, type Identifier } from '../../certificate/identifier.ts';
import type { CertificateSpec } from '../../certificate/spec.ts';

/** What must be known of a lineage to find its place. Times are ms since the epoch. */
export interface Candidate {
  readonly lineage: string;
  readonly identifiers: readonly Identifier[];
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Where a lineage goes. Without a spec the certificate is not configured, and nobody would renew it. */
export interface Assignment {
  readonly lineage: string;
  readonly name: string;
  readonly spec: CertificateSpec | undefined;
}

export interface Unassigned {
  readonly lineage: string;
  readonly why: string;
}

const LONGEST_NAME = 63;

/**
 * Finds the certificates that lineages belong to. A configured certificate takes the lineage that covers all its
 * names, with the fewest further ones, then with the latest expiry; a lineage may serve several. One that covers no
 * configured certificate gets a name made from its own. What is not valid now goes nowhere.
 */
export function assign(
  candidates: readonly Candidate[],
  specs: readonly CertificateSpec[],
  now: number,
): { assignments: Assignment[]; unassigned: Unassigned[] } {
  const unassigned: Unassigned[] = [];
  const valid: Candidate[] = [];
  for (const candidate of candidates) {
    const why = invalidity(candidate, now);
    if (why === undefined) valid.push(candidate);
    else unassigned.push({ lineage: candidate.lineage, why });
  }
  const assignments: Assignment[] = [];
  const beatenBy = new Map<string, Assignment>();
  for (const spec of specs) {
    const [best, ...others] = valid.filter((candidate) => coversAll(candidate, spec)).sort(byFitness);
    if (best === undefined) continue;
    const assignment = { lineage: best.lineage, name: spec.name, spec };
    assignments.push(assignment);
    for (const other of others) beatenBy.set(other.lineage, assignment);
  }
  const used = new Set(assignments.map(({ lineage }) => lineage));
  const taken = new Set(specs.map(({ name }) => name));
  for (const { lineage } of valid) {
    if (used.has(lineage)) continue;
    const winner = beatenBy.get(lineage);
    if (winner !== undefined) {
      unassigned.push({ lineage, why: `lineage ${winner.lineage} fits certificate ${winner.name} better` });
      continue;
    }
    const name = freeName(certificateName(lineage), taken);
    taken.add(name);
    assignments.push({ lineage, name, spec: undefined });
  }
  return { assignments, unassigned };
}

/** A valid certificate name (DESIGN §5) made from a lineage's. */
export function certificateName(lineage: string): string {
  const plain = lineage
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  const name = plain === '' ? 'imported' : plain;
  if (name.length <= LONGEST_NAME) return name;
  const digest = createHash('sha256').update(lineage).digest('hex').slice(0, 8);
  return `${name.slice(0, LONGEST_NAME - 9)}-${digest}`;
}

/** That name, or the first of it with a number that is not taken. */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  for (let again = 1; ; again += 1) {
    const suffix = again === 1 ? '' : `-${again}`;
    const candidate = name.slice(0, LONGEST_NAME - suffix.length) + suffix;
    if (!taken.has(candidate)) return candidate;
  }
}

function invalidity({ notBefore, notAfter }: Candidate, now: number): string | undefined {
  if (notAfter <= now) return `it expired on ${new Date(notAfter).toISOString()}`;
  if (notBefore > now) return `it is not valid before ${new Date(notBefore).toISOString()}; is the clock right?`;
  return undefined;
}

function coversAll({ identifiers }: Candidate, spec: CertificateSpec): boolean {
  return spec.identifiers.every((wanted) => covers(identifiers, wanted));
}

function byFitness(a: Candidate, b: Candidate): number {
  return a.identifiers.length - b.identifiers.length || b.notAfter - a.notAfter || (a.lineage < b.lineage ? -1 : 1);
}
