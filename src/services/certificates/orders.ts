import { slots, type Slots } from '../../platform/concurrency.ts';
import { describeError } from '../../platform/errors.ts';
import { openAcmeIssuers } from './acme-issuers.ts';
import { attend } from './attend.ts';
import type { Look } from './look.ts';
import { sharedPublishing } from './publishing.ts';
import { interrupted, type Result } from './result.ts';
import type { CertificateService } from './service.ts';
import { settle, settleUnderWay } from './settle.ts';
import type { Terms } from './situation.ts';

/**
 * The orders under way. They take seconds to minutes, so nothing waits for them that does not have to: a resident
 * service goes on with what needs no network, and one slow CA holds up nobody but its own certificates.
 */
export interface Orders extends AsyncDisposable {
  /** Whether this certificate is being attended to: a pass leaves it alone until then. */
  has(certificate: string): boolean;
  /** Begins; each certificate is settled as soon as it is done. */
  add(service: CertificateService, looks: readonly Look[], terms: Terms): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

/** What Let's Encrypt's servers take from one client without slowing it down. */
const AT_ONCE = 10;

export interface OrdersOptions {
  /** Called with each result after it was written down. */
  readonly settled: (result: Result) => void;
  readonly atOnce?: number;
  /** How long a first order waits for a web server that is not up yet, ms; default: not at all. */
  readonly patience?: number;
}

export function openOrders({ settled, atOnce = AT_ONCE, patience = 0 }: OrdersOptions): Orders {
  const names = new Set<string>();
  /** By issuer: one that hangs takes the places of its own certificates and of no others, in whatever batch they are. */
  const places = new Map<string, Slots>();
  let work: Promise<void> = Promise.resolve();

  function placesAt(issuer: string): Slots {
    const known = places.get(issuer) ?? slots(atOnce);
    places.set(issuer, known);
    return known;
  }

  async function batch(service: CertificateService, looks: readonly Look[], terms: Terms): Promise<void> {
    await using issuers = openAcmeIssuers(service);
    const publishing = sharedPublishing(service);
    const attending = { service, terms, publishing, patience, acme: (name: string) => issuers.acme(name) };
    const done = looks.map(async (one) => {
      try {
        const result = await placesAt(issuerOf(one))(() => (service.signal.aborted ? stopped(one) : attend(attending, one)));
        service.ledger.together(() => settle(service, result, service.clock.now()));
        settled(result);
      } finally {
        names.delete(one.spec.name);
      }
    });
    // What uses the issuers is waited for before they are closed, whatever happens to one of them.
    for (const one of await Promise.allSettled(done)) if (one.status === 'rejected') throw one.reason;
  }

  return {
    has: (certificate) => names.has(certificate),
    add(service, looks, terms) {
      for (const { spec } of looks) names.add(spec.name);
      settleUnderWay(service, looks, terms.now);
      const done = batch(service, looks, terms).catch((error: unknown) => {
        service.log.error({}, `orders could not be carried out: ${describeError(error)}`);
        for (const { spec } of looks) names.delete(spec.name);
      });
      work = Promise.all([work, done]).then(() => undefined);
    },
    idle: () => work,
    [Symbol.asyncDispose]: () => work,
  };
}

/** Who will be asked first. */
function issuerOf({ result: { decision, current } }: Look): string {
  return decision.issuers[0] ?? (current.state === 'published' ? current.issuer : '');
}

async function stopped({ result }: Look): Promise<Result> {
  return result.decision.action === 'issue' ? interrupted(result) : result;
}
