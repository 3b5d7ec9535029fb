import { budget, type BudgetRow, type Wanted } from '../../certificate/rate-limits.ts';
import type { Config } from '../../config/config.ts';
import type { Ledger } from '../../ledger/ledger.ts';

/** How an ACME server stands with us. Times are ISO 8601 in UTC. */
export interface IssuerStatus {
  readonly name: string;
  readonly directory: string;
  /** It takes no orders until then. */
  readonly held: { readonly until: string; readonly why: string; readonly link: string | null } | null;
  /** One for each thing that its limits count and that was used lately. */
  readonly limits: readonly LimitStatus[];
}

export interface LimitStatus {
  readonly kind: BudgetRow['kind'];
  /** What is counted: a registered domain, a set of names, an identifier; empty where all count together. */
  readonly subject: string;
  readonly used: number;
  readonly count: number;
  readonly windowHours: number;
  readonly left: number;
  /** When one more is free. */
  readonly nextSlot: string;
}

const HOUR = 3_600_000;

/** The configured ACME servers, with what of their limits is used and what is left. */
export function issuersStatus(config: Pick<Config, 'issuers'>, ledger: Ledger | undefined, now: number): IssuerStatus[] {
  return Object.values(config.issuers).map(({ name, directory, limits }) => {
    const hold = ledger?.hold(name);
    const longest = Math.max(0, ...limits.map(({ window }) => window));
    const uses = ledger?.uses(name, now - longest) ?? [];
    const counted: Wanted[] = [...new Map(uses.map(({ kind, subject }) => [`${kind} ${subject}`, { kind, subject }])).values()];
    return {
      name,
      directory,
      held: hold === undefined || hold.until <= now ? null : { until: iso(hold.until), why: hold.why, link: hold.link ?? null },
      limits: budget(limits, uses, counted, now).rows.map(limitStatus),
    };
  });
}

function limitStatus({ kind, subject, used, count, window, left, nextSlot }: BudgetRow): LimitStatus {
  return { kind, subject, used, count, windowHours: window / HOUR, left, nextSlot: iso(nextSlot) };
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
