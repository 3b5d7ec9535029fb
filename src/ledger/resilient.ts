import { MINUTE } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import type { Ledger } from './ledger.ts';

export interface ResilientOptions {
  /** An empty one, in memory. */
  readonly memory: () => Ledger;
  /** Told when the file takes no entry, and when it does again. */
  readonly warn: (line: string) => void;
}

type Write = (ledger: Ledger) => void;

/** A file that refuses is asked again so often, ms. */
const ASK_AGAIN = MINUTE;

/**
 * A ledger that a full disk and a damaged file stop from lasting, not from working: from the first refusal on it is
 * carried on in memory, with what the file knew as far as it can be read, and written back as soon as the file takes it.
 * Rejected: to drop what is refused. Without its failure on record a certificate is tried again every second, and
 * without its condition people are told of it every time.
 * Only `together` gives the caller's own errors; `close` what the database says.
 */
export function resilientLedger(file: Ledger, { memory, warn }: ResilientOptions): Ledger {
  let current = file;
  let askedAt = 0;
  /** What the transaction that runs has written so far: its commit may be what is refused. */
  let journal: Write[] | undefined;

  function leaveFile(error: unknown): void {
    if (current !== file) throw error;
    current = memory();
    askedAt = performance.now();
    let lost = '';
    try {
      current.takeOver(file.snapshot());
    } catch {
      lost = ' what was on record cannot be read, and';
    }
    // SQLite may have undone all of the transaction by itself.
    for (const entry of journal ?? []) entry(current);
    warn(`the ledger takes no entry (${messageOf(error)}):${lost} until it does, what happens is kept in memory alone`);
  }

  function returnToFile(): void {
    if (current === file || journal !== undefined || performance.now() - askedAt < ASK_AGAIN) return;
    askedAt = performance.now();
    if (!writeBack()) return;
    current.close();
    current = file;
    warn('the ledger takes entries again; what was kept in memory was written down');
  }

  function writeBack(): boolean {
    try {
      file.takeOver(current.snapshot());
      return true;
    } catch {
      // It was told when it began.
      return false;
    }
  }

  function write(entry: Write): void {
    returnToFile();
    journal?.push(entry);
    try {
      entry(current);
    } catch (error) {
      leaveFile(error);
      if (journal === undefined) entry(current);
    }
  }

  function read<T>(ask: (ledger: Ledger) => T): T {
    try {
      return ask(current);
    } catch (error) {
      leaveFile(error);
      return ask(current);
    }
  }

  function together<T>(work: () => T): T {
    if (journal !== undefined) return work();
    returnToFile();
    let state: 'before' | 'begun' | 'done' = 'before';
    let result: T | undefined;
    journal = [];
    try {
      return current.together(() => {
        state = 'begun';
        result = work();
        state = 'done';
        return result;
      });
    } catch (error) {
      // Assigned in the function above, which the type checker does not follow.
      const reached = state as 'before' | 'begun' | 'done';
      if (reached === 'begun') throw error;
      if (current === file) leaveFile(error);
      return reached === 'done' ? (result as T) : current.together(work);
    } finally {
      journal = undefined;
    }
  }

  function close(): void {
    if (current !== file) {
      writeBack();
      current.close();
    }
    file.close();
  }

  return {
    record: (event) => write((ledger) => ledger.record(event)),
    events: (filter) => read((ledger) => ledger.events(filter)),
    outlook: (certificate) => read((ledger) => ledger.outlook(certificate)),
    outlooks: () => read((ledger) => ledger.outlooks()),
    links: () => read((ledger) => ledger.links()),
    keepOutlook: (outlook) => write((ledger) => ledger.keepOutlook(outlook)),
    retainOnly: (certificates) => write((ledger) => ledger.retainOnly(certificates)),
    nextLook: () => read((ledger) => ledger.nextLook()),
    dueAt: (now) => read((ledger) => ledger.dueAt(now)),
    lookAgain: (now) => write((ledger) => ledger.lookAgain(now)),
    failure: (certificate) => read((ledger) => ledger.failure(certificate)),
    keepFailure: (certificate, failure) => write((ledger) => ledger.keepFailure(certificate, failure)),
    clearFailure: (certificate) => write((ledger) => ledger.clearFailure(certificate)),
    advice: (certificate) => read((ledger) => ledger.advice(certificate)),
    keepAdvice: (certificate, advice) => write((ledger) => ledger.keepAdvice(certificate, advice)),
    clearAdvice: (certificate) => write((ledger) => ledger.clearAdvice(certificate)),
    recordUse: (use) => write((ledger) => ledger.recordUse(use)),
    uses: (issuer, since) => read((ledger) => ledger.uses(issuer, since)),
    forgetUsesBefore: (time) => write((ledger) => ledger.forgetUsesBefore(time)),
    hold: (issuer) => read((ledger) => ledger.hold(issuer)),
    holds: () => read((ledger) => ledger.holds()),
    keepHold: (hold) => write((ledger) => ledger.keepHold(hold)),
    clearHold: (issuer) => write((ledger) => ledger.clearHold(issuer)),
    revocation: (leafSha256) => read((ledger) => ledger.revocation(leafSha256)),
    keepRevocation: (revocation) => write((ledger) => ledger.keepRevocation(revocation)),
    keepDelivery: (delivery) => write((ledger) => ledger.keepDelivery(delivery)),
    retainDeliveries: (certificate, endpoints) => write((ledger) => ledger.retainDeliveries(certificate, endpoints)),
    deliveries: (certificate) => read((ledger) => ledger.deliveries(certificate)),
    forgetBefore: (time) => write((ledger) => ledger.forgetBefore(time)),
    clockEvidence: (now) => read((ledger) => ledger.clockEvidence(now)),
    discreditAfter: (time) => write((ledger) => ledger.discreditAfter(time)),
    value: (key) => read((ledger) => ledger.value(key)),
    keepValue: (key, value) => write((ledger) => ledger.keepValue(key, value)),
    snapshot: () => read((ledger) => ledger.snapshot()),
    takeOver: (snapshot) => write((ledger) => ledger.takeOver(snapshot)),
    together,
    close,
    [Symbol.dispose]: close,
  };
}
