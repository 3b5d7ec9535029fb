import { PodserveError, describeError } from '../platform/errors.ts';
import { trustIn, untrustAllIn, untrustIn, type Change } from '../platform/trust/change.ts';
import type { StoreKind, TrustStore } from '../platform/trust/store.ts';
import type { KnownRoots } from './ca-roots.ts';
import type { Context } from './command.ts';

/** What to do in every store: trust the roots, or take them, or every root of any PodServe, out of it. */
export type TrustTask =
  | { readonly verb: 'trust' | 'untrust'; readonly roots: KnownRoots }
  | { readonly verb: 'untrust'; readonly roots: 'all' };

interface StoreReport {
  readonly store: string;
  readonly path: string;
  readonly changes: readonly Change[];
  readonly failure?: string;
}

/**
 * `podserve ca trust` and `untrust`: one store's failure stops no other.
 * @returns 1 when a store could not be read or changed
 */
export async function changeTrust(task: TrustTask, stores: readonly TrustStore[], json: boolean, context: Context): Promise<number> {
  if (stores.length === 0) {
    throw new PodserveError('TRUST_STORE_FAILED', 'no trust store was found', {
      why: 'neither a system store nor one of Chromium or Firefox is here',
      remedy: 'start the browser once, or install the package ca-certificates; podserve ca export prints the root to import by hand',
    });
  }
  const reports: StoreReport[] = [];
  for (const store of stores) {
    const report = await changeIn(store, task);
    reports.push(report);
    if (json) continue;
    for (const { root, changed } of report.changes) context.out(`${store.label}: ${root} ${outcome(task.verb, changed)}`);
    if (report.changes.length === 0 && report.failure === undefined) context.out(`${store.label}: holds no root of PodServe`);
    if (report.failure !== undefined) context.err(`podserve: ${report.failure}`);
  }
  const changedKinds = stores.filter((_, index) => reports[index]?.changes.some(({ changed }) => changed)).map(({ kind }) => kind);
  if (json) context.out(JSON.stringify({ stores: reports }, null, 2));
  else finish(task.verb, changedKinds, context);
  return reports.some(({ failure }) => failure !== undefined) ? 1 : 0;
}

async function changeIn(store: TrustStore, { verb, roots }: TrustTask): Promise<StoreReport> {
  const named = { store: store.label, path: store.path };
  try {
    if (roots === 'all') return { ...named, changes: await untrustAllIn(store) };
    return { ...named, changes: await (verb === 'trust' ? trustIn : untrustIn)(store, roots.anchors) };
  } catch (error) {
    return { ...named, changes: [], failure: describeError(error) };
  }
}

function outcome(verb: TrustTask['verb'], changed: boolean): string {
  if (verb === 'trust') return changed ? 'is trusted now' : 'was trusted already';
  return changed ? 'is removed' : 'was not there';
}

function finish(verb: TrustTask['verb'], changed: readonly StoreKind[], context: Context): void {
  if (changed.some((kind) => kind !== 'system')) context.out('Browsers that are running take the change when they are started again.');
  if (changed.length > 0 && verb === 'trust') context.out('podserve ca untrust takes it back.');
  const user = context.env['SUDO_USER'];
  if (user && user !== 'root') context.out(`The browser stores of ${user} were not touched: run this without sudo for those.`);
}
